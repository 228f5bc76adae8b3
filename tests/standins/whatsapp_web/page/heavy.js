// What an account of some years adds to the page: modules that were run, models, a database and a list of chats on the screen.

const HEAVY = { run: 2600, called: 1300, contacts: 2000, chats: 400, messages: 6000, rows: 30 };

function ask(name) {
    if (bulk.made.has(name)) return bulk.made.get(name);
    const [needed, factory] = bulk.modules.get(name);
    const made = {};
    bulk.made.set(name, made);
    factory(needed.map(ask), made);
    return made;
}

for (let number = 0; number < HEAVY.run; number += 1) ask(`Bulk${number}`);
for (let number = 0; number < HEAVY.called; number += 1) bulk.made.get(`Bulk${number}`).run();

/** As many attributes as WhatsApp Web's model of a message has, most of them empty. */
function heavyMessage(number) {
    const chat = `1999${String(number % HEAVY.chats).padStart(7, '0')}@c.us`;
    const out = number % 3 === 0;
    const id = { fromMe: out, remote: chat, id: `3A${number.toString(16).padStart(18, '0')}`, _serialized: `${out}_${chat}_${number}` };
    const flags = Object.fromEntries([
        'star', 'isForwarded', 'isEphemeral', 'isViewOnce', 'isFromTemplate', 'hasReaction', 'isVcardOverMmsDocument', 'isDynamicReplyButtonsMsg',
        'isCarouselCard', 'isQuestion', 'isMdHistoryMsg', 'requiresDirectConnection', 'pollInvalidated', 'ephemeralOutOfSync', 'isSentCagPollCreation',
        'kicNotified', 'isCallLink', 'hasAppButton', 'isAvatar', 'invis', 'isNewMsg', 'broadcast', 'ctwaContext', 'gifPlayback', 'isQuotedMsgAvailable',
    ].map((name) => [name, false]));
    return {
        ...flags, id, viewed: false, body: `Message ${number}: `.padEnd(40 + (number * 37) % 160, 'as people write them, '), type: 'chat',
        t: 1_790_000_000 + number, notifyName: `Person ${number % HEAVY.contacts}`, from: chat, to: '15550100@c.us', author: undefined, self: 'in',
        ack: number % 4, mentionedJidList: [], groupMentions: [], links: [], labels: [], msgRowOpaqueData: new Uint8Array(64),
        messageSecret: new Uint8Array(32), deviceListMetadata: { senderKeyHash: `hash${number}`, senderTimestamp: number }, rowId: number,
    };
}

function opened() {
    return new Promise((resolve, reject) => {
        const request = indexedDB.open('model-storage', 1);
        request.onupgradeneeded = () => {
            const messages = request.result.createObjectStore('message', { keyPath: 'rowId' });
            messages.createIndex('t', 't');
            messages.createIndex('from', 'from');
            request.result.createObjectStore('contact', { keyPath: 'id' });
        };
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

const over = (transaction) => new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onerror = () => reject(transaction.error);
});

const answerTo = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
});

const bulkContacts = new Collection();
const bulkChats = new Collection();
const bulkMessages = new Collection();

/** At the first login the phone hands everything over; at the next start it comes from the database. */
window.loadBulk = async () => {
    const database = await opened();
    if (!(await answerTo(database.transaction('message').objectStore('message').count()))) {
        const writing = database.transaction(['message', 'contact'], 'readwrite');
        for (let number = 0; number < HEAVY.messages; number += 1) writing.objectStore('message').put(heavyMessage(number));
        for (let number = 0; number < HEAVY.contacts; number += 1) {
            const id = `1999${String(number).padStart(7, '0')}@c.us`;
            const name = `Person ${number}`;
            writing.objectStore('contact').put({ id, name, pushname: name, lid: `99${id}`, picture: 'x'.repeat(200) });
        }
        await over(writing);
    }
    for (const row of await answerTo(database.transaction('message').objectStore('message').getAll())) {
        const remote = new Wid(row.id.remote);
        bulkMessages.add(new Model({ ...row, id: new MsgKey({ from: remote, to: remote, id: row.id.id, selfDir: 'in' }), from: remote }));
    }
    for (const row of await answerTo(database.transaction('contact').objectStore('contact').getAll())) {
        bulkContacts.add(new Model({ ...row, id: new Wid(row.id), isBusiness: false, statusMute: false, shortName: row.name.split(' ')[1] }));
    }
    for (const contact of bulkContacts.getModelsArray().slice(0, HEAVY.chats)) {
        bulkChats.add(new Model({ id: contact.id, name: contact.name, t: 1_790_000_000, unreadCount: 0, pin: 0, archive: false, labels: [] }));
    }
    show(bulkChats.getModelsArray().slice(0, HEAVY.rows));
};

/** The list of chats, with a picture each. */
function show(chats) {
    const list = document.createElement('div');
    for (const [number, chat] of chats.entries()) {
        const row = document.createElement('div');
        row.className = `x${number.toString(16)}`;
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 96;
        const context = canvas.getContext('2d');
        context.fillStyle = `hsl(${number * 12} 60% 50%)`;
        context.arc(48, 48, 40, 0, 7);
        context.fill();
        const picture = new Image(49, 49);
        picture.src = canvas.toDataURL('image/jpeg');
        row.append(picture);
        for (let part = 0; part < 40; part += 1) {
            const span = document.createElement('span');
            span.className = `x${(number * 40 + part).toString(16)}`;
            span.textContent = part ? '' : `${chat.name}: the newest message`;
            row.append(span);
        }
        list.append(row);
    }
    document.body.append(list);
}

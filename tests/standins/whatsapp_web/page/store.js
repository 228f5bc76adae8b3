// What the page knows: its socket, its chats, messages and contacts.

const Socket = Object.assign(new Model({ state: 'OPENING', hasSynced: false }), {
    async logout() {
        await wire.call('logout');
        unlinked('logout');
    },
    reconnect() {},
    takeover: () => wire.call('takeover'),
});

const Cmd = Object.assign(new Emitter(), {
    refreshQR: () => wire.call('refresh_ref'),
    archiveChat: (chat, archived) => marked(chat, { archived }),
    pinChat: (chat, pinned) => marked(chat, { pin: pinned }),
    markChatUnread: (chat, unread) => marked(chat, { unread }),
    sendStarMsgs: (_chat, msgs) => starred(msgs, true),
    sendUnstarMsgs: (_chat, msgs) => starred(msgs, false),
    async sendRevokeMsgs(chat, { list }) {
        for (const msg of list) {
            await wire.call('revoke', { key: msg.id.id });
            msg.set({ type: 'revoked', body: '' });
        }
    },
});

async function marked(chat, marks) {
    if (!Chat.get(chat.id)) throw new Error('no such chat');
    await wire.call('mark', { chat: String(chat.id), marks });
    chat.set(marks.pin === undefined ? {} : { pin: marks.pin ? Date.now() : undefined });
}

async function starred(msgs, star) {
    for (const msg of msgs) await wire.call('star', { key: msg.id.id, star });
}

const Conn = Object.assign(new Model({ ref: '', pushname: '', platform: 'android' }), { canSetMyPushname: () => true });
const Chat = new Collection();
const Contact = new Collection();
const Msg = Object.assign(new Collection(), { modelClass: Model });
const Blocklist = new Collection();
const picture = { canSet: () => true, canDelete: () => true };
const ProfilePicThumb = { get: () => undefined, find: async (id) => (new Wid(id), picture) };
const me = { pn: undefined, lid: undefined, migrated: false };
const aliases = new Map();

/** What the server tells of a message into what WhatsApp Web has of one. */
function messageModel(told, isNewMsg) {
    const remote = new Wid(told.remote);
    const participant = widOf(told.participant);
    const from = widOf(told.from);
    const attributes = {
        ...told.fields,
        id: new MsgKey({ from, to: remote, id: told.key, participant, selfDir: told.from_me ? 'out' : 'in' }),
        from,
        to: widOf(told.to),
        author: participant,
        notifyName: told.name,
        ack: told.ack,
        t: told.t,
        type: told.type,
        self: told.from_me ? 'out' : 'in',
        isNewMsg,
    };
    return withBehaviour(new Model(attributes));
}

function withBehaviour(msg) {
    if (msg.directPath) msg.mediaData = { mediaStage: 'RESOLVED' };
    return Object.assign(msg, {
        unsafe: () => msg,
        canReply: () => true,
        msgContextInfo: () => ({
            quotedMsg: { type: msg.type, body: msg.body },
            quotedStanzaID: msg.id.id,
            quotedParticipant: msg.author ?? (msg.id.fromMe ? (me.migrated ? me.lid : me.pn) : msg.from),
        }),
        downloadMedia: async () => {},
    });
}

function keep(msg) {
    msg.collection = Msg;
    const chat = Chat.get(msg.id.remote);
    chat.msgs.add(Msg.get(msg.id) ?? msg);
    return Msg.add(msg);
}

function chatModel(told) {
    const chat = new Model({ id: new Wid(told.id), formattedTitle: told.title, name: told.title, t: told.t, unreadCount: told.unread });
    Object.assign(chat, { msgs: new Collection(), mute: muteOf(told.id), endOfHistoryTransferType: told.more ? 0 : 1, lastReceivedKey: undefined });
    chat.msgs.muted = true;
    if (told.group) chat.groupMetadata = groupMetadata(told.group);
    chat.iAmAdmin = () => chat.groupMetadata.participants.get(me.lid)?.isAdmin ?? chat.groupMetadata.participants.get(me.pn)?.isAdmin ?? false;
    return chat;
}

function muteOf(id) {
    const mute = { expiration: 0 };
    const set = async (expiration) => {
        await wire.call('mark', { chat: id, marks: { muted: expiration } });
        mute.expiration = expiration;
    };
    return Object.assign(mute, { mute: ({ expiration }) => set(expiration), unmute: () => set(0) });
}

function takeChat(told) {
    const known = Chat.get(told.id);
    if (known === undefined) return Chat.add(chatModel(told));
    if (told.group) Object.assign(known.groupMetadata, groupMetadata(told.group));
    known.endOfHistoryTransferType = told.more ? 0 : 1;
    known.set({ formattedTitle: told.title, name: told.title, t: told.t, unreadCount: told.unread });
    return known;
}

function takeContact(told) {
    if (told.pn) {
        aliases.set(told.pn, told.lid);
        aliases.set(told.lid, told.pn);
    }
    if (Contact.get(told.id)) return;
    Contact.add(new Model({ id: new Wid(told.id), name: told.name, pushname: told.name, phoneNumber: undefined, isBusiness: false, isSaved: told.saved === true }));
}

/** Everything that the server knows of this account, and the newest messages of each chat. */
async function sync() {
    const told = await wire.call('sync');
    Object.assign(me, { pn: new Wid(told.me.pn), lid: new Wid(told.me.lid), migrated: told.me.migrated });
    Conn.set({ pushname: told.me.name });
    aliases.set(told.me.pn, told.me.lid);
    aliases.set(told.me.lid, told.me.pn);
    told.contacts.forEach(takeContact);
    told.chats.forEach(takeChat);
    told.messages.forEach((one) => keep(messageModel(one, false)));
}

const find = async (one) => {
    const wid = widOf(one);
    if (wid.isStatus()) return Chat.get(wid) ?? Chat.add(chatModel({ id: String(wid), title: 'Status', t: 0, unread: 0 }));
    const found = Chat.get(wid);
    if (found) return found;
    if (me.migrated && wid.server === 'c.us') {
        if (!aliases.has(String(wid))) throw new Error('No LID for user');
        return find(new Wid(aliases.get(String(wid))));
    }
    return takeChat(await wire.call('open_chat', { id: String(wid) }));
};

/** A message that came, or was written on another device of this account. */
wire.on('message', ({ chat, contact, message }) => {
    if (contact) takeContact(contact);
    takeChat(chat);
    if (!Msg.get(messageModel(message, true).id)) keep(messageModel(message, true));
});
wire.on('chat', takeChat);
/** The phone hands older messages over, some time after it was asked. */
wire.on('history', ({ chat, messages }) => {
    takeChat(chat);
    messages.forEach((one) => keep(messageModel(one, false)));
});

/** Chats by number become chats by lid, and their messages get other ids; nobody is told. */
wire.on('migrate', ({ chats }) => {
    me.migrated = true;
    for (const { from, to, contact } of chats) {
        takeContact(contact);
        const old = Chat.get(from);
        if (old === undefined || from === to) continue;
        Chat.remove(from);
        const chat = takeChat({ id: to, title: old.formattedTitle, t: old.t, unread: old.unreadCount });
        for (const msg of old.msgs.getModelsArray()) {
            Msg.remove(msg.id);
            const ends = msg.id.fromMe ? { from: me.lid, to: new Wid(to) } : { from: new Wid(to), to: me.lid };
            const id = new MsgKey({ from: ends.from, to: new Wid(to), id: msg.id.id, selfDir: msg.id.fromMe ? 'out' : 'in' });
            Object.assign(msg, ends, { id });
            Msg.models.set(String(id), msg);
            chat.msgs.add(msg);
        }
    }
});
wire.on('ack', ({ key, ack }) => byKey(key)?.set({ ack }));
wire.on('edit', ({ key, body, at }) => byKey(key)?.set({ body, latestEditSenderTimestampMs: at }));
wire.on('revoke', ({ key }) => byKey(key)?.set({ type: 'revoked', body: '' }));
wire.on('decrypt', ({ key, body }) => byKey(key)?.set({ type: 'chat', body }));
wire.on('reaction', ({ message, by, emoji, t }) => {
    const parent = messageModel(message, false).id;
    const author = new Wid(by);
    const id = new MsgKey({ from: author, to: parent.remote, id: `R${parent.id}`, selfDir: 'in' });
    const row = { id, reactionParentKey: parent, reactionTimestamp: t * 1000, author, from: author, reactionText: emoji, ack: 1 };
    window.require('WAWebAddonReactionTableMode').reactionTableMode.bulkUpsert([row]);
});

wire.on('vote', ({ message, by, chosen, t }) => {
    const parent = messageModel(message, false).id;
    const author = new Wid(by);
    const id = new MsgKey({ from: author, to: parent.remote, id: `V${parent.id}`, selfDir: 'in' });
    const row = { id, pollUpdateParentKey: parent, t: t * 1000, author, selectedOptionLocalIds: chosen, senderTimestampMs: t * 1000 };
    window.require('WAWebAddonPollVoteTableMode').pollVoteTableMode.bulkUpsert([row]);
});
wire.on('call', ({ id, from, video }) => {
    calls.map.set(id, { id, peerJid: new Wid(from), isVideo: video, isGroup: false, outgoing: false });
});

/** The library takes the first Map that it finds in it. */
const calls = { on() {}, map: new Map() };
const byKey = (key) => Msg.getModelsArray().find((msg) => msg.id.id === key);

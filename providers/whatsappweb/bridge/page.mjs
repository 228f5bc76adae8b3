// What runs inside the page. These functions are sent there as text, so they use nothing from around them.

/** Before any script of the page: tells when the page asks for a passkey, which a browser without a person cannot show. */
export function watchPasskeys() {
    const credentials = navigator.credentials;
    if (!credentials) return;
    const get = credentials.get.bind(credentials);
    credentials.get = (options) => {
        if (options?.publicKey) window.bridgePasskey?.();
        return get(options);
    };
}

/** Tells of every state of the socket, from before the login on; the library tells of them only after it. */
export function watchSocket() {
    if (window.bridgeWatches || typeof window.require !== 'function') return;
    const { Socket } = window.require('WAWebSocketModel');
    window.bridgeWatches = true;
    Socket.on('change:state', (_socket, state) => window.bridgeState(state));
    window.bridgeState(Socket.state);
}

/** Notes what WhatsApp answered to each send: the library throws the answer away. */
export function watchSends() {
    const action = window.require('WAWebSendMsgChatAction');
    if (window.bridgeSends) return;
    window.bridgeSends = { begun: 0, answers: new Map() };
    const send = action.addAndSendMsgToChat;
    action.addAndSendMsgToChat = (chat, message) => {
        window.bridgeSends.begun += 1;
        // Before the page shows the message: whoever sees it then knows whose it is.
        window.bridgeSending(message.id._serialized);
        const [added, answered] = send(chat, message);
        const noted = Promise.resolve(answered).catch((error) => ({ messageSendResult: String(error?.message ?? error) }));
        window.bridgeSends.answers.set(message.id._serialized, noted);
        return [added, answered];
    };
}

/** How the page is. `newest` is the time of the newest message it knows, to compare with those that were told. */
export function pulse() {
    const { Socket } = window.require('WAWebSocketModel');
    const isIn = typeof window.WWebJS !== 'undefined';
    const chats = isIn ? window.require('WAWebCollections').Chat.getModelsArray() : [];
    return { state: Socket.state, synced: Boolean(Socket.hasSynced), newest: Math.max(0, ...chats.map((chat) => chat.t || 0)) };
}

/** An idle page waits for somebody to press "reload"; the library tries, in the wrong place. */
export function refreshQr() {
    const { Cmd } = window.require('WAWebCmd');
    if (typeof Cmd.refreshQR === 'function') return Cmd.refreshQR();
    return window.require('WAWebLaunchSocketUtils').refreshQR();
}

/** A text for a group with the members that its `@number` name, as WhatsApp marks them: by the id that the group has for each. */
export function withMentions(chatId, text) {
    const { getCurrentLid, getPhoneNumber } = window.require('WAWebApiContact');
    const members = window.require('WAWebCollections').Chat.get(chatId)?.groupMetadata?.participants.getModelsArray() ?? [];
    const other = (id) => (id.server === 'lid' ? getPhoneNumber(id) : getCurrentLid(id));
    const mentions = [];
    const marked = text.replace(/(?<![\w@])@\+?(\d{7,20})(?!\w)/g, (written, digits) => {
        const member = members.find(({ id }) => id.user === digits || other(id)?.user === digits);
        if (!member) return written;
        mentions.push(member.id._serialized);
        return `@${member.id.user}`;
    });
    return { text: marked, mentions: [...new Set(mentions)] };
}

export function sendsBegun() {
    return window.bridgeSends?.begun ?? 0;
}

/** WhatsApp's answer to the send of this message; null where there is none within the time. */
export async function answerTo(messageId, milliseconds) {
    const answers = window.bridgeSends.answers;
    const late = new Promise((resolve) => setTimeout(resolve, milliseconds, null));
    const answer = await Promise.race([answers.get(messageId) ?? null, late]);
    answers.delete(messageId);
    const plain = JSON.parse(JSON.stringify(answer ?? null));
    const message = window.require('WAWebCollections').Msg.get(messageId);
    return { answer: plain, ack: message?.ack ?? null };
}

/** The newest messages of a chat, oldest first; `failed` says why there may be more. The library's own order is wrong for equal times. */
export async function newestMessages(chatId, limit) {
    const chat = await window.WWebJS.getChat(chatId, { getAsModel: false });
    if (!chat) return null;
    const words = (error) => String(error?.message ?? error);
    const isMessage = (msg) => !msg.isNotification;
    let failed = null;
    let messages = chat.msgs.getModelsArray().filter(isMessage);
    try {
        while (messages.length < limit) {
            const earlier = await window.require('WAWebChatLoadMessages').loadEarlierMsgs({ chat });
            if (!earlier?.length) break;
            messages = [...earlier.filter(isMessage), ...messages];
        }
    } catch (error) {
        failed = words(error);
    }
    messages.sort((one, other) => one.t - other.t);
    const models = messages.slice(-limit).flatMap((msg) => {
        try {
            return [window.WWebJS.getMessageModel(msg)];
        } catch (error) {
            failed = words(error);
            return [];
        }
    });
    return { messages: models, failed };
}

/** Every chat that the page has, with the person's other id as far as the page knows it: nothing is asked for. */
export function allChats() {
    const { getCurrentLid, getPhoneNumber } = window.require('WAWebApiContact');
    const other = { lid: getPhoneNumber, 'c.us': getCurrentLid };
    return window
        .require('WAWebCollections')
        .Chat.getModelsArray()
        .map((chat) => ({
            id: chat.id._serialized,
            alias: other[chat.id.server]?.(chat.id)?._serialized ?? null,
            title: chat.formattedTitle ?? null,
            t: chat.t ?? 0,
            group: Boolean(chat.groupMetadata),
        }));
}

/**
 * A person's number and lid, and the one under which the page has a chat. `known` is false where only WhatsApp can tell and `mayAsk` is
 * false, `exists` where WhatsApp knows nobody. WhatsApp answers with the registered number, which may be written otherwise.
 */
export async function personBehind(id, mayAsk) {
    const { getCurrentLid, getPhoneNumber } = window.require('WAWebApiContact');
    const { Chat } = window.require('WAWebCollections');
    const both = (one) => (one.server === 'lid' ? { lid: one, pn: getPhoneNumber(one) } : { lid: getCurrentLid(one), pn: one });
    const wid = window.require('WAWebWidFactory').createWid(id);
    let { lid, pn } = both(wid);
    if (!(lid && pn)) {
        const isThere = Boolean(Chat.get(wid));
        if (!mayAsk && !isThere) return { known: false };
        const answer = mayAsk ? await window.require('WAWebQueryExistsJob').queryWidExists(wid) : null;
        if (!answer?.wid && !isThere) return { known: true, exists: false };
        if (answer?.wid) ({ lid, pn } = both(answer.wid));
    }
    const chat = [lid, pn].find((one) => one && Chat.get(one));
    const text = (one) => one?._serialized ?? null;
    return { known: true, exists: true, lid: text(lid), pn: text(pn), chat: text(chat) };
}

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

/** The newest messages of a chat, oldest first. The library's own order is not: it compares equal times as smaller. */
export async function newestMessages(chatId, limit) {
    const chat = await window.WWebJS.getChat(chatId, { getAsModel: false });
    if (!chat) return null;
    const isMessage = (msg) => !msg.isNotification;
    let messages = chat.msgs.getModelsArray().filter(isMessage);
    while (messages.length < limit) {
        const earlier = await window.require('WAWebChatLoadMessages').loadEarlierMsgs({ chat });
        if (!earlier?.length) break;
        messages = [...earlier.filter(isMessage), ...messages];
    }
    messages.sort((one, other) => one.t - other.t);
    return messages.slice(-limit).map((msg) => window.WWebJS.getMessageModel(msg));
}

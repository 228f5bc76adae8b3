// How WhatsApp Web sends: text, files, replies, edits.

function plain(value) {
    return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

const FIELDS = [
    'body', 'caption', 'mimetype', 'filename', 'size', 'directPath', 'filehash', 'mediaKey', 'duration', 'lat', 'lng', 'loc', 'pollName',
    'pollOptions', 'pollSelectableOptionsCount', 'quotedStanzaID', 'quotedMsg', 'quotedParticipant', 'mentionedJidList',
    'vcardFormattedName', 'isForwarded',
];

/** [in the list, answered by the server]: the first is there at once, and so the message is seen before it is sent. */
function addAndSendMsgToChat(chat, message) {
    const attributes = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined && typeof value !== 'function'));
    const msg = withBehaviour(new Model(attributes));
    if (message.id.participant) msg.set({ author: message.id.participant });
    keep(msg);
    chat.set({ t: msg.t });
    const fields = Object.fromEntries(FIELDS.filter((name) => message[name] !== undefined).map((name) => [name, plain(message[name])]));
    const answered = wire.call('send', { chat: String(chat.id), key: message.id.id, type: message.type, t: message.t, fields }).then(
        ({ ack }) => {
            if (msg.ack < ack) msg.set({ ack });
            return { messageSendResult: 'OK', t: msg.t, count: null };
        },
        (refusal) => {
            msg.set({ ack: -1 });
            return { messageSendResult: 'ERROR_UNKNOWN', errorCode: refusal.status, t: msg.t };
        },
    );
    return [Promise.resolve(msg), answered];
}

/** Through the same function as what is written, as the page's modules call each other by their exports. */
async function forwardMessages({ chat, msgs }) {
    for (const msg of msgs) {
        const content = Object.fromEntries(FIELDS.filter((name) => msg[name] !== undefined).map((name) => [name, msg[name]]));
        for (const name of ['quotedStanzaID', 'quotedMsg', 'quotedParticipant']) delete content[name];
        const from = me.migrated || chat.id.isGroup() ? me.lid : me.pn;
        const participant = chat.id.isGroup() ? from : undefined;
        const id = new MsgKey({ from, to: chat.id, id: await MsgKey.newId(), participant, selfDir: 'out' });
        const message = { ...content, id, from, to: chat.id, type: msg.type, t: Math.floor(Date.now() / 1000), ack: 0, isForwarded: true };
        const [added] = window.require('WAWebSendMsgChatAction').addAndSendMsgToChat(chat, { ...message, self: 'out', isNewMsg: true });
        await added;
    }
}

/** It makes a message itself, which is not the one that the library answers with. */
async function sendStatusTextMsgAction({ text }) {
    const to = new Wid('status@broadcast');
    const id = new MsgKey({ from: me.pn, to, id: await MsgKey.newId(), participant: me.pn, selfDir: 'out' });
    await wire.call('story', { key: id.id, text });
    const message = { id, from: me.pn, to, author: me.pn, body: text, type: 'chat', t: Math.floor(Date.now() / 1000), ack: 1, isNewMsg: true };
    keep(withBehaviour(new Model(message)));
}

async function sendPinInChatMsg(msg, action) {
    const seconds = window.require('WAWebPinMsgConstants').getPinExpiryDuration();
    if (action === 1 && ![86400, 604800, 2592000].includes(seconds)) return { messageSendResult: 'ERROR_UNKNOWN' };
    await wire.call('pin', { key: msg.id.id, pinned: action === 1 });
    return { messageSendResult: 'OK' };
}

class OpaqueData {
    static async createFromData(blob, type) {
        return Object.assign(new OpaqueData(), { blob, type });
    }

    url() {
        return 'blob:stand-in';
    }

    autorelease() {}

    formData() {
        return this.blob;
    }
}

function typeOf(mime, { asSticker, isPtt, asDocument }) {
    if (asDocument) return 'document';
    if (asSticker) return 'sticker';
    if (isPtt) return 'ptt';
    const family = mime.split('/')[0];
    return ['image', 'video', 'audio'].includes(family) ? family : 'document';
}

async function sha256(blob) {
    return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))));
}

const mediaObjects = new Map();

function prepRawMedia(opaque, params) {
    const waitForPrep = async () => {
        const file = opaque.blob;
        const data = {
            type: typeOf(file.type, params),
            mimetype: file.type,
            filename: file.name,
            filehash: await sha256(file),
            size: file.size,
            preview: undefined,
            isGif: Boolean(params.asGif),
        };
        const mediaData = { ...data, mediaBlob: opaque };
        mediaData.set = (more) => Object.assign(data, more);
        mediaData.toJSON = () => ({ ...data });
        mediaObjects.set(data.filehash, { filehash: data.filehash, type: data.type, size: data.size, file, contentInfo: {}, consolidate() {} });
        return mediaData;
    };
    return { waitForPrep };
}

async function uploadMedia({ mimetype, mediaObject, mediaType }) {
    const url = `/media?type=${encodeURIComponent(mediaType)}&mime=${encodeURIComponent(mimetype)}`;
    const answer = await fetch(url, { method: 'POST', body: mediaObject.file });
    if (!answer.ok) throw new ServerStatusCodeError(`upload refused: ${answer.status}`);
    const { path } = await answer.json();
    return {
        mediaEntry: { mmsUrl: path, directPath: path, mediaKey: 'a2V5', mediaKeyTimestamp: 1, encFilehash: mediaObject.filehash, uploadHash: 'x' },
    };
}

async function encryptAndUpload({ blob, type }) {
    const answer = await fetch(`/media?type=${type}&mime=${encodeURIComponent(blob.type)}`, { method: 'POST', body: blob });
    if (!answer.ok) throw new ServerStatusCodeError(`upload refused: ${answer.status}`);
    const { path } = await answer.json();
    return { url: path, directPath: path, mediaKey: 'a2V5', mimetype: blob.type, encFilehash: 'x' };
}

async function downloadAndMaybeDecrypt({ directPath }) {
    const answer = await fetch(directPath);
    if (!answer.ok) throw Object.assign(new Error('download failed'), { status: answer.status });
    return answer.arrayBuffer();
}

async function sendMessageEdit(msg, body) {
    await wire.call('edit', { key: msg.id.id, body });
    msg.set({ body, latestEditSenderTimestampMs: Date.now() });
}

const MINUTE = 60;
const age = (msg) => Date.now() / 1000 - msg.t;
const capability = {
    canEditText: (msg) => msg.id.fromMe && msg.type === 'chat' && age(msg) < 15 * MINUTE,
    canEditCaption: () => false,
    canSenderRevokeMsg: (msg) => msg.id.fromMe && msg.type !== 'revoked' && age(msg) < 60 * 60 * MINUTE,
    canStarMsg: (msg) => Boolean(msg),
    canAdminRevokeMsg: (msg) => msg.id.remote.isGroup() && Chat.get(msg.id.remote).iAmAdmin(),
};

async function getMessagesById(ids) {
    const answer = await wire.call('messages', { keys: ids.map((id) => MsgKey.fromString(id).id) });
    const told = answer.filter((one) => ids.includes(String(messageModel(one, false).id)));
    for (const one of told) await find(one.remote);
    return { messages: told.map((one) => keep(messageModel(one, false))) };
}

async function loadEarlierMsgs({ chat }) {
    const known = chat.msgs.getModelsArray().map((msg) => msg.id.id);
    const told = await wire.call('earlier', { chat: String(chat.id), known });
    return told.map((one) => keep(messageModel(one, false)));
}

/** 3: older history of one chat, from the phone. It answers later, by handing it over. */
async function sendPeerDataOperationRequest(kind, { chatId }) {
    if (kind !== 3) throw new Error(`no request ${kind} to the phone`);
    await wire.call('ask_phone', { chat: String(chatId) });
}

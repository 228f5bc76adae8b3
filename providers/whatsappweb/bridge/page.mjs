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

/** Before any script of the page: events of the library that nobody reads. Each would have it ask WhatsApp for the whole chat. */
export function leaveOut() {
    for (const name of ['onChatUnreadCountEvent', 'onArchiveChatEvent', 'onRemoveChatEvent']) window[name] = () => {};
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
    window.bridgeSends = { begun: 0, last: null, answers: new Map() };
    const send = action.addAndSendMsgToChat;
    action.addAndSendMsgToChat = (chat, message) => {
        window.bridgeSends.begun += 1;
        window.bridgeSends.last = message.id._serialized;
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

/** Forwards a message. The id of what the page made of it; null where it does not show it. */
export async function forwardTo(chatId, messageId) {
    const chat = await window.WWebJS.getChat(chatId, { getAsModel: false });
    const known = new Set(chat.msgs.getModelsArray().map((msg) => msg.id._serialized));
    const { begun } = window.bridgeSends;
    await window.WWebJS.forwardMessage(chatId, messageId);
    if (window.bridgeSends.begun > begun) return window.bridgeSends.last;
    const made = chat.msgs.getModelsArray().filter((msg) => msg.id.fromMe && msg.isForwarded && !known.has(msg.id._serialized));
    return made.length ? made[made.length - 1].id._serialized : null;
}

/** As the library does, which knows a contact only by a model of its own. */
export async function setBlocked(contactId, blocked) {
    const contact = await window.require('WAWebCollections').Contact.find(window.require('WAWebWidFactory').createWid(contactId));
    const { getContactToBlockOnlyUseIfNoAssociatedChat } = window.require('WAWebBlockContactUtils');
    const resolved = getContactToBlockOnlyUseIfNoAssociatedChat(contact, 'ChatListBlock');
    const { blockContact, unblockContact } = window.require('WAWebBlockContactAction');
    await (blocked ? blockContact({ contact: resolved }) : unblockContact(resolved));
}

/**
 * Makes a group. The library does this too, and fails after the group was made where WhatsApp hides somebody's number. The outcome is
 * WhatsApp's code for each person, by both ids. `id` is null where nobody of these is on WhatsApp: then there is no group.
 */
export async function makeGroup(title, ids) {
    const { createWid } = window.require('WAWebWidFactory');
    const { getCurrentLid, getPhoneNumber } = window.require('WAWebApiContact');
    const { Chat } = window.require('WAWebCollections');
    const groups = () => Chat.getModelsArray().filter((chat) => chat.groupMetadata);
    const outcomes = {};
    const people = [];
    for (const id of ids) {
        const wid = createWid(id);
        if ((await window.require('WAWebQueryExistsJob').queryWidExists(wid))?.wid) people.push({ phoneNumber: wid });
        else outcomes[id] = 404;
    }
    if (!people.length) return { id: null, outcomes };
    const known = new Set(groups().map((chat) => chat.id._serialized));
    const options = {
        addressingModeOverride: 'lid', memberAddMode: false, membershipApprovalMode: false, announce: false, restrict: false,
        ephemeralDuration: 0, parentGroupId: undefined, title,
    };
    let made;
    try {
        made = await window.require('WAWebGroupCreateJob').createGroup(options, people);
    } catch (error) {
        // Its answer may have been lost, not the group, of which the page hears by itself.
        let found;
        for (let look = 0; look < 20 && !found; look += 1) {
            await new Promise((resolve) => setTimeout(resolve, look && 100));
            found = groups().find((chat) => !known.has(chat.id._serialized) && chat.formattedTitle === title);
        }
        if (!found) throw error;
        return { id: found.id._serialized, outcomes };
    }
    for (const { wid, error } of made.participants) {
        const other = wid.server === 'lid' ? getPhoneNumber(wid) : getCurrentLid(wid);
        for (const id of [wid, other]) if (id) outcomes[id._serialized] = Number(error || 200);
    }
    return { id: made.wid._serialized, outcomes };
}

/** Adds people to a group, one by one: WhatsApp's code for each; null where this account may not. The library fails for hidden numbers. */
export async function addPeople(groupId, ids) {
    const { createWid } = window.require('WAWebWidFactory');
    const { Chat } = window.require('WAWebCollections');
    const group = createWid(groupId);
    await window.require('WAWebGroupQueryJob').queryAndUpdateGroupMetadataById({ id: groupId });
    const chat = Chat.get(group) ?? (await Chat.find(group));
    if (!chat.iAmAdmin()) return null;
    const outcomes = {};
    for (const id of ids) {
        if (Object.keys(outcomes).length) await new Promise((resolve) => setTimeout(resolve, 250 + Math.random() * 250));
        const wid = createWid(id);
        const exists = (await window.require('WAWebQueryExistsJob').queryWidExists(wid))?.wid;
        outcomes[id] = exists ? (await window.WWebJS.getAddParticipantsRpcResult(group, wid)).code : 404;
    }
    return outcomes;
}

/** The ids of this account's stories that the page has. The library answers with an id of its own making. */
export function ownStories() {
    const { Msg } = window.require('WAWebCollections');
    const isOwn = ({ id }) => id.fromMe && String(id.remote) === 'status@broadcast';
    return Msg.getModelsArray().filter(isOwn).map(({ id }) => id._serialized);
}

/** Who asks to be let into a group, by their own ids. */
export async function pendingRequests(groupId) {
    const group = window.require('WAWebWidFactory').createWid(groupId);
    const requests = await window.require('WAWebApiMembershipApprovalRequestStore').getMembershipApprovalRequests(group);
    return requests.map(({ id, t }) => ({ id: id?._serialized ?? String(id), t: t ?? null }));
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

/**
 * The newest messages of a chat, oldest first; `failed` says why there may be more. The library's own order is wrong for equal times.
 * With `phoneMs` the phone is asked for those that this device was never given, and so long waited for.
 */
export async function newestMessages(chatId, limit, phoneMs) {
    const chat = await window.WWebJS.getChat(chatId, { getAsModel: false });
    if (!chat) return null;
    const words = (error) => String(error?.message ?? error);
    const isMessage = (msg) => !msg.isNotification;
    let failed = null;
    let messages = chat.msgs.getModelsArray().filter(isMessage);
    try {
        const load = async () => {
            while (messages.length < limit) {
                const earlier = await window.require('WAWebChatLoadMessages').loadEarlierMsgs({ chat });
                if (!earlier?.length) break;
                messages = [...earlier.filter(isMessage), ...messages];
            }
        };
        await load();
        // 0: the phone has more, as WhatsApp's protocol names it.
        if (phoneMs && messages.length < limit && chat.endOfHistoryTransferType === 0) {
            const known = chat.msgs.getModelsArray().length;
            const until = Date.now() + phoneMs;
            await window.require('WAWebSendNonMessageDataRequest').sendPeerDataOperationRequest(3, { chatId: chat.id });
            while (chat.msgs.getModelsArray().length === known && Date.now() < until) {
                await new Promise((resolve) => setTimeout(resolve, 100));
            }
            messages = chat.msgs.getModelsArray().filter(isMessage);
            await load();
        }
    } catch (error) {
        failed = words(error);
    }
    // The library listens for the key of what came while it looked, and of nothing older.
    for (const msg of messages.filter(({ type, isNewMsg, bridgeWaits }) => type === 'ciphertext' && !isNewMsg && !bridgeWaits)) {
        msg.bridgeWaits = true;
        msg.once('change:type', (now) => {
            if (now.type !== 'revoked') window.onAddMessageEvent(window.WWebJS.getMessageModel(now));
        });
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
        .filter((chat) => chat.id.server !== 'broadcast')
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

// What the parent can ask for. Ids come in as WhatsApp writes them and models go out as the page has them: all meaning is the parent's.

import {
    addPeople, allChats, answerTo, forwardTo, makeGroup, newestMessages, ownStories, pendingRequests, personBehind, sendsBegun, setBlocked,
    withMentions,
} from './page.mjs';

// WhatsApp offers a day, a week and 30 days.
const PIN_SECONDS = 30 * 24 * 3600;

const RAW = (model) => model?._data ?? model;

export class Refused extends Error {
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}

export function operations(library, session) {
    const { MessageMedia, Location, Poll } = library;
    const { client } = session;
    const page = () => client.pupPage;
    // WhatsApp Web's own page sends one after the other too; and so the count of begun sends belongs to one.
    const inTurn = queue();

    /** Under which id the page has this chat. */
    async function inUse(id) {
        return isPerson(id) ? ((await page().evaluate(personBehind, id, false)).chat ?? id) : id;
    }

    /** Where to send to. A page that never met a person refuses the number until WhatsApp was asked about it. */
    async function reachable(id) {
        if (!isPerson(id)) return id;
        const met = await page().evaluate(personBehind, id, false);
        const person = met.known ? met : await page().evaluate(personBehind, id, true);
        if (!person.exists) throw new Refused('no_such_chat', `${id} is not on WhatsApp.`);
        return person.chat ?? person.pn ?? person.lid;
    }

    /** A message whose chat has another id by now. */
    async function renamed(id) {
        const [mine, chatId, ...rest] = id.split('_');
        const now = await inUse(chatId);
        return now === chatId ? null : client.getMessageById([mine, now, ...rest].join('_'));
    }

    async function message(id) {
        const found = (await client.getMessageById(id)) ?? (await renamed(id));
        if (!found) throw new Refused('no_such_message', `There is no message ${id}.`);
        return found;
    }

    async function chat(id) {
        const found = await client.getChatById(id);
        if (!found) throw new Refused('no_such_chat', `There is no chat ${id}.`);
        return found;
    }

    async function group(id) {
        const found = await chat(id);
        if (!found.isGroup) throw new Refused('no_such_chat', `${id} is not a group.`);
        return found;
    }

    const file = ({ mime, data, name }) => new MessageMedia(mime, data, name);

    function content({ text, media, location, poll }) {
        if (media) return new MessageMedia(media.mime, media.data, media.name, media.size);
        if (location) return new Location(location.latitude, location.longitude, { name: location.name ?? undefined });
        if (poll) return new Poll(poll.question, poll.options, { allowMultipleAnswers: poll.multiple });
        return text;
    }

    /** The id of the message that the page has made of a forwarded one. */
    async function forwarded(chatId, messageId) {
        const found = await message(messageId);
        const id = await page().evaluate(forwardTo, await reachable(chatId), found.id._serialized);
        if (id) return message(id);
        throw Object.assign(new Error('WhatsApp Web does not show what it forwarded.'), { begun: true });
    }

    /** Answers with the message, WhatsApp's own answer, and the ack it had by then. */
    async function send({ chat_id: chatId, client_id: clientId, reply_to: replyTo, options, answer_ms: answerMs, ...rest }) {
        const before = await page().evaluate(sendsBegun);
        session.sending = clientId;
        try {
            if (rest.forward) {
                const sent = await forwarded(chatId, rest.forward);
                return { message: RAW(sent), ...(await page().evaluate(answerTo, sent.id._serialized, answerMs)) };
            }
            const quoted = replyTo && (await message(replyTo)).id._serialized;
            const written = rest.media ? options?.caption : rest.text;
            const marked = chatId.endsWith('@g.us') && written ? await page().evaluate(withMentions, chatId, written) : { text: written };
            const caption = rest.media && written ? { caption: marked.text } : {};
            const sent = await client.sendMessage(await reachable(chatId), content({ ...rest, text: marked.text }), {
                parseVCards: false,
                ...options,
                ...caption,
                mentions: marked.mentions ?? [],
                quotedMessageId: quoted ?? undefined,
                ignoreQuoteErrors: false,
                linkPreview: false,
                sendSeen: false,
            });
            if (!sent) throw new Refused('no_such_chat', `There is no chat ${chatId}.`);
            return { message: RAW(sent), ...(await page().evaluate(answerTo, sent.id._serialized, answerMs)) };
        } catch (error) {
            const after = await page().evaluate(sendsBegun).catch(() => null);
            throw Object.assign(error instanceof Error ? error : new Error(String(error)), { begun: error?.begun || after !== before });
        }
    }

    const all = {
        send: (args) => inTurn(() => send(args)),
        react: async ({ message_id: id, emoji }) => {
            const found = await message(id);
            await client.sendReaction(found.id._serialized, emoji ?? '');
        },
        edit: async ({ message_id: id, text }) => {
            if (!(await (await message(id)).edit(text, { linkPreview: false }))) {
                throw new Refused('not_allowed', 'WhatsApp does not let this message be edited.');
            }
        },
        delete: async ({ message_id: id }) => {
            const found = await message(id);
            const may = await page().evaluate((messageId) => {
                const { canSenderRevokeMsg, canAdminRevokeMsg } = window.require('WAWebMsgActionCapability');
                const msg = window.require('WAWebCollections').Msg.get(messageId);
                return Boolean(msg) && (canSenderRevokeMsg(msg) || canAdminRevokeMsg(msg));
            }, found.id._serialized);
            // The library would delete it on this side alone, and say that all is well.
            if (!may) throw new Refused('not_allowed', 'WhatsApp does not let this message be deleted for everyone.');
            await found.delete(true);
        },
        pin: async ({ message_id: id, pinned }) => {
            const found = await message(id);
            allowed(await (pinned ? found.pin(PIN_SECONDS) : found.unpin()), 'pin messages here');
        },
        star: async ({ message_id: id, starred }) => {
            const found = await message(id);
            await (starred ? found.star() : found.unstar());
        },
        archive: async ({ chat_id: id, archived }) => {
            const chatId = (await chat(await inUse(id))).id._serialized;
            await (archived ? client.archiveChat(chatId) : client.unarchiveChat(chatId));
        },
        mark_chat: async ({ chat_id: id, pinned, muted, muted_until: until, unread }) => {
            const chatId = (await chat(await inUse(id))).id._serialized;
            if (pinned === true && !(await client.pinChat(chatId))) throw new Refused('not_allowed', 'Three chats are pinned already.');
            if (pinned === false) await client.unpinChat(chatId);
            if (muted === true) await client.muteChat(chatId, until ? new Date(until) : undefined);
            if (muted === false) await client.unmuteChat(chatId);
            if (unread) await client.markChatUnread(chatId);
        },
        block: async ({ id, blocked }) => page().evaluate(setBlocked, await inUse(id), blocked),
        profile: async ({ name, about, picture }) => {
            if (name !== null) allowed(await client.setDisplayName(name), 'change its name');
            if (about !== null) await client.setStatus(about);
            if (picture) allowed(await client.setProfilePicture(file(picture)), 'change its picture');
        },
        story: async ({ text }) => {
            const known = new Set(await page().evaluate(ownStories));
            await client.sendMessage('status@broadcast', text, { linkPreview: false, sendSeen: false });
            const shown = (await page().evaluate(ownStories)).filter((id) => !known.has(id));
            if (shown.length) return shown[shown.length - 1];
            throw Object.assign(new Error('WhatsApp Web does not show the story that it posted.'), { begun: true });
        },
        reject_call: ({ id, from }) => page().evaluate((peer, call) => window.WWebJS.rejectCall(peer, call), from, id),
        mark_read: async ({ chat_id: id }) => client.sendSeen(await inUse(id)),
        typing: async ({ chat_id: id, typing }) => {
            const sendState = (state, chatId) => window.WWebJS.sendChatstate(state, chatId);
            await page().evaluate(sendState, typing ? 'typing' : 'stop', await inUse(id));
        },
        download: async ({ message_id: id }) => {
            const media = await (await message(id)).downloadMedia();
            if (!media) throw new Refused('no_such_file', 'WhatsApp does not have this file any more.');
            return { data: media.data, mime: media.mimetype, name: media.filename ?? null };
        },
        message: async ({ message_id: id }) => RAW(await message(id)),
        chats: () => page().evaluate(allChats),
        chat: async ({ chat_id: id }) => {
            const found = await chat(await inUse(id));
            return { id: found.id._serialized, title: found.name ?? null, t: found.timestamp ?? 0, group: found.isGroup };
        },
        contacts: () => page().evaluate(() => window.WWebJS.getContacts()),
        person: ({ id, ask }) => page().evaluate(personBehind, id, ask),
        messages: async ({ chat_id: id, limit, phone_ms: phoneMs }) => {
            const found = await page().evaluate(newestMessages, await inUse(id), limit, phoneMs ?? 0);
            if (!found) throw new Refused('no_such_chat', `There is no chat ${id}.`);
            return found;
        },
        groups: async () => (await client.getChats()).filter((one) => one.isGroup).map(groupModel),
        group: async ({ group_id: id }) => groupModel(await group(id)),
        group_create: async ({ title, participants }) => {
            const made = await page().evaluate(makeGroup, title, participants);
            if (!made.id) throw new Refused('no_such_chat', 'Nobody of these is on WhatsApp. No group was made.');
            return { id: made.id, participants: made.outcomes };
        },
        group_add: async ({ group_id: id, participants }) => {
            const outcomes = await page().evaluate(addPeople, (await group(id)).id._serialized, participants);
            if (!outcomes) throw new Refused('not_allowed', 'Only administrators may add people to this group.');
            return outcomes;
        },
        group_remove: async ({ group_id: id, participants }) => (await group(id)).removeParticipants(participants),
        group_admin: async ({ group_id: id, participants, admin }) => {
            const found = await group(id);
            return admin ? found.promoteParticipants(participants) : found.demoteParticipants(participants);
        },
        group_title: async ({ group_id: id, title }) => allowed(await (await group(id)).setSubject(title)),
        group_description: async ({ group_id: id, description }) => allowed(await (await group(id)).setDescription(description)),
        group_invite: async ({ group_id: id, renew }) => {
            const found = await group(id);
            const code = renew ? await found.revokeInvite() : await found.getInviteCode();
            return allowed(code) && code;
        },
        group_settings: async ({ group_id: id, picture, only_admins_write: write, only_admins_edit: edit, only_admins_add: add }) => {
            const found = await group(id);
            if (write !== null) allowed(await found.setMessagesAdminsOnly(write));
            if (edit !== null) allowed(await found.setInfoAdminsOnly(edit));
            if (add !== null) allowed(await found.setAddMembersAdminsOnly(add));
            if (picture) allowed(await found.setPicture(file(picture)));
        },
        group_join: ({ code }) => client.acceptInvite(code),
        group_requests: async ({ group_id: id }) => page().evaluate(pendingRequests, (await group(id)).id._serialized),
        group_answer: async ({ group_id: id, people, admit }) => {
            const found = await group(id);
            const options = { requesterIds: people, sleep: [250, 500] };
            return admit ? found.approveGroupMembershipRequests(options) : found.rejectGroupMembershipRequests(options);
        },
        group_leave: async ({ group_id: id }) => (await group(id)).leave(),
        pairing_code: ({ phone }) => client.requestPairingCode(phone),
        logout: () => session.logout(),
        stop: () => void setImmediate(() => session.leave('stopped')),
    };

    const BEFORE_READY = new Set(['pairing_code', 'stop']);

    return async (op, args) => {
        if (!Object.hasOwn(all, op)) throw new Refused('no_such_operation', `There is no operation ${op}.`);
        if (session.leaving) throw new Refused('leaving', 'The bridge is closing.');
        if (!session.ready && !BEFORE_READY.has(op)) throw new Refused('not_ready', 'WhatsApp Web is not ready.');
        return all[op](args);
    };
}

function isPerson(id) {
    return /@(c\.us|lid)$/.test(id);
}

function allowed(done, what = 'do that in this group') {
    if (!done) throw new Refused('not_allowed', `WhatsApp does not let this account ${what}.`);
    return done;
}

function groupModel(chat) {
    const { participants = [], desc = null } = chat.groupMetadata ?? {};
    return { id: chat.id._serialized, title: chat.name ?? '', description: desc, participants };
}

/** Runs one after the other what it is given. */
export function queue() {
    let last = Promise.resolve();
    return (job) => {
        const result = last.then(job);
        last = result.catch(() => {});
        return result;
    };
}

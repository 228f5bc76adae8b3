// Groups as WhatsApp Web has them: people by their lid, asked for and changed one by one.

function groupMetadata({ description, announce, participants }) {
    const people = new Collection();
    people.muted = true;
    for (const { id, admin } of participants) people.add(new Model({ id: new Wid(id), isAdmin: admin, isSuperAdmin: false }));
    const metadata = { participants: people, desc: description, descId: undefined, announce, isLidAddressingMode: true };
    metadata.serialize = () => ({ desc: metadata.desc, announce: metadata.announce, participants: metadata.participants.serialize() });
    return metadata;
}

const refresh = async (id) => takeChat(await wire.call('group', { id: String(id) }));

async function createGroup({ title }, participants) {
    const made = await wire.call('group_create', { title, participants: participants.map(({ phoneNumber }) => String(phoneNumber)) });
    takeChat(made.chat);
    const list = made.participants.map(({ id, error, type }) => ({ wid: new Wid(id), error, type }));
    return { wid: new Wid(made.chat.id), subject: title, participants: list };
}

async function sendAddParticipantsRPC({ participantArgs, iqTo }) {
    const { error } = await wire.call('group_add', { id: iqTo, participant: participantArgs[0].participantJid });
    const mixins = error ? { name: 'ParticipantError', value: { error: String(error) } } : undefined;
    const value = { addParticipantsParticipantMixins: mixins };
    return {
        name: 'AddParticipantsResponseSuccess',
        value: { addParticipant: [{ addParticipantsParticipantAddedOrNonRegisteredWaUserParticipantErrorLidResponseMixinGroup: { value } }] },
    };
}

async function change(op, chat, participants) {
    await wire.call(op, { id: String(chat.id), participants: participants.map((one) => String(one.id)) });
    await refresh(chat.id);
}

const participantActions = {
    removeParticipants: (chat, participants) => change('group_remove', chat, participants),
    promoteParticipants: (chat, participants) => change('group_promote', chat, participants),
    demoteParticipants: (chat, participants) => change('group_demote', chat, participants),
};

async function sendMembershipRequestsActionRPC({ iqTo, approveArgs, rejectArgs }) {
    const [{ participantJid: jid }] = (approveArgs ?? rejectArgs).participantArgs;
    const { error } = await wire.call('join_answer', { id: iqTo, participant: jid, admit: Boolean(approveArgs) });
    const mixins = error ? { value: { error: String(error) } } : undefined;
    const participant = approveArgs
        ? { jid, membershipRequestsActionAcceptParticipantMixins: mixins }
        : { jid, membershipRequestsActionRejectParticipantMixins: mixins };
    const value = { [approveArgs ? 'membershipRequestsActionApprove' : 'membershipRequestsActionReject']: { participant: [participant] } };
    return { name: 'MembershipRequestsActionResponseSuccess', value };
}

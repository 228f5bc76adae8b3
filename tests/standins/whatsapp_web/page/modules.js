// The modules of WhatsApp Web that whatsapp-web.js asks for, by name. One that is not here is told to the server, and fails the test.

const getters = (names) => Object.fromEntries(Object.entries(names).map(([name, field]) => [name, (contact) => contact[field]]));
const isMe = (contact) => [me.pn?._serialized, me.lid?._serialized].includes(contact.id._serialized);
const other = (wid) => (aliases.has(String(wid)) ? new Wid(aliases.get(String(wid))) : undefined);
const links = (text) => [...String(text ?? '').matchAll(/https?:\/\/\S+/g)].map(([href]) => ({ href }));

const linking = {
    setPairingType(type) {
        if (type !== 'ALT_DEVICE_LINKING') throw new Error(`pairing type ${type}`);
    },
    initializeAltDeviceLinking: async () => {},
    startAltLinkingFlow: (phone, notify) => wire.call('alt_link', { phone, notify }),
};

const MODULES = {
    WAWebSocketModel: { Socket },
    WAWebCmd: { Cmd },
    WAWebConnModel: { Conn },
    WAWebOfflineHandler: { OfflineMessageHandler: { getOfflineDeliveryProgress: () => loaded } },
    WAWebAltDeviceLinkingApi: linking,
    WABase64: { encodeB64: (bytes) => btoa(String.fromCharCode(...bytes)) },
    WAWebCompanionRegClientUtils: { DEVICE_PLATFORM: '1' },
    WAWebAdvSignatureApi: {},
    WAWebUserPrefsInfoStore: { waNoiseInfo: { get: async () => ({ staticKeyPair: { pubKey: new Uint8Array(32).fill(1) } }) } },
    WAWebSignalStoreApi: { waSignalStore: { getRegistrationInfo: async () => ({ identityKeyPair: { pubKey: new Uint8Array(32).fill(2) } }) } },
    WAWebUserPrefsMultiDevice: { getADVSecretKey: () => 'QURWLVNFQ1JFVC1PRi1BLVNUQU5ELUlO' },
    WAWebUserPrefsMeUser: { getMaybeMePnUser: () => me.pn, getMaybeMeLidUser: () => me.lid },
    WAWebCollections: {
        Msg: Object.assign(Msg, { getMessagesById }),
        Chat: Object.assign(Chat, { find }),
        Contact: Object.assign(Contact, { find: async (wid) => Contact.get(wid) ?? new Model({ id: widOf(wid), name: '', pushname: '' }) }),
        Blocklist,
        BusinessProfile: { find: async () => ({}) },
        ProfilePicThumb,
        GroupMetadata: { update: (id) => refresh(id).catch(() => Chat.get(id)) }, // of a group that was left, what was known stays
    },
    WAWebSyncGatingUtils: {},
    WAWebNonMessageDataRequestPlaceholderMessageResendUtils: { handlePlaceholderMsgsSeen() {} },
    WAWebCallCollection: calls,
    WAWebBackendJobsCommon: {},
    WAWebE2EProtoUtils: {},
    WAWebAddonReactionTableMode: { reactionTableMode: { bulkUpsert() {} } },
    WAWebAddonPollVoteTableMode: { pollVoteTableMode: { bulkUpsert() {} } },
    WALinkify: { findLinks: links, findLink: (text) => links(text)[0] },
    WAWebWidFactory: { createWid: (text) => new Wid(text), createWidFromWidLike: widOf, asUserWidOrThrow: widOf },
    WAWebFindChatAction: { findOrCreateLatestChat: async (wid) => ({ chat: await find(wid) }) },
    WAWebLidMigrationUtils: { toPn: (id) => other(id._serialized ?? id) ?? null },
    WAWebApiContact: {
        getAlternateUserWid: other,
        getPhoneNumber: other,
        getCurrentLid: other,
    },
    WAWebContactGetters: {
        getIsMe: isMe,
        getIsUser: (contact) => contact.id.isUser(),
        getIsGroup: (contact) => contact.id.isGroup(),
        getIsWAContact: () => true,
        getUserid: (contact) => contact.id.user,
        ...getters({
            getVerifiedName: 'verifiedName', getVerifiedLevel: 'verifiedLevel', getStatusMute: 'statusMute', getName: 'name',
            getShortName: 'shortName', getPushname: 'pushname', getIsEnterprise: 'isEnterprise',
        }),
    },
    WAWebFrontendContactGetters: { getIsMyContact: (contact) => contact.isSaved === true },
    WAWebChatLoadMessages: { loadEarlierMsgs },
    WAWebSendNonMessageDataRequest: { sendPeerDataOperationRequest },
    WAWebBlockContactUtils: { getContactToBlockOnlyUseIfNoAssociatedChat: (contact) => contact },
    WAWebBlockContactAction: {
        blockContact: ({ contact }) => wire.call('block', { id: String(contact.id), blocked: true }),
        unblockContact: (contact) => wire.call('block', { id: String(contact.id), blocked: false }),
    },
    WAWebChatForwardMessage: { forwardMessages },
    WAWebPinMsgConstants: { getPinExpiryDuration: () => 7 * 24 * 3600 },
    WAWebSendPinMessageAction: { sendPinInChatMsg },
    WAWebSendStatusMsgAction: { sendStatusTextMsgAction },
    WAWebStatusGatingUtils: { canCheckStatusRankingPosterGating: () => false },
    WAWap: { wap: (tag, attributes, children) => ({ tag, attributes, children }), generateId: () => '1.2-3' },
    WADeprecatedSendIq: {
        deprecatedCastStanza: ({ tag, attributes, children }) =>
            wire.call('stanza', { tag, to: attributes.to, child: children[0].tag, call: children[0].attributes['call-id'] }),
    },
    WASmaxGroupsMembershipRequestsActionRPC: { sendMembershipRequestsActionRPC },
    WAWebApiMembershipApprovalRequestStore: {
        getMembershipApprovalRequests: async (wid) =>
            (await wire.call('join_requests', { id: String(wid) })).map(({ id, t }) => ({ id: new Wid(id), t, addedBy: null })),
    },
    WAWebJidToWid: { userJidToUserWid: (jid) => new Wid(jid) },
    WAWebSetPropertyGroupAction: {
        setGroupProperty: async (chat, property, value) => {
            if (!['announcement', 'restrict', 'member_add_mode'].includes(property)) throw new Error(`no property ${property} of a group`);
            await wire.call('group_property', { id: String(chat.id), property, value });
        },
    },
    WAWebGroupInviteJob: {
        joinGroupViaInvite: async (code) => {
            const told = await wire.call('group_join', { code });
            takeChat(told);
            return { gid: new Wid(told.id) };
        },
    },
    WAWebSetPushnameConnAction: { setPushname: (name) => wire.call('profile', { name }) },
    WAWebContactStatusBridge: { setMyStatus: (about) => wire.call('profile', { about }) },
    WAWebContactProfilePicThumbBridge: {
        async sendSetPicture(wid, thumbnail, picture) {
            for (const url of [thumbnail, picture]) if (!url.startsWith('data:image/jpeg;base64,')) throw new Error('a picture is a JPEG');
            await wire.call('picture', { id: String(wid), size: picture.length });
            return { status: 200 };
        },
        requestDeletePicture: async () => ({ status: 200 }),
    },
    WAWebChatGetters: { getIsNewsletter: () => false, getIsBroadcast: (chat) => chat.id.server === 'broadcast' },
    WAWebMsgKey: MsgKey,
    WAWebGetEphemeralFieldsMsgActionsUtils: { getEphemeralFields: () => ({}) },
    WAWebSendMsgChatAction: { addAndSendMsgToChat },
    WAWebStreamModel: { Stream: { markAvailable() {}, markUnavailable() {} } },
    WAWebUpdateUnreadChatAction: {
        sendSeen: async ({ chat }) => {
            await wire.call('seen', { chat: String(chat.id) });
            chat.set({ unreadCount: 0 });
        },
    },
    WAWebMsgReply: { canReplyMsg: () => true },
    WAWebMediaOpaqueData: OpaqueData,
    WAWebPrepRawMedia: { prepRawMedia },
    WAWebMediaStorage: { getOrCreateMediaObject: (filehash) => mediaObjects.get(filehash) },
    WAWebMmsMediaTypes: { msgToMediaType: ({ type }) => type, castToV4: (type) => type },
    WAWebMediaDataUtils: { shouldUseMediaCache: () => false },
    WAWebMediaMmsV4Upload: { uploadMedia },
    WAWebDownloadManager: { downloadManager: { downloadAndMaybeDecrypt } },
    WAWebMsgActionCapability: capability,
    WAWebSendMessageEditAction: { sendMessageEdit },
    WAWebSendReactionMsgAction: { sendReactionToMsg: (msg, emoji) => wire.call('react', { key: msg.id.id, emoji }) },
    WAWebChatStateBridge: {
        sendChatStateComposing: (wid) => wire.call('typing', { chat: String(wid), typing: true }),
        sendChatStatePaused: (wid) => wire.call('typing', { chat: String(wid), typing: false }),
    },
    WAWebQueryExistsJob: {
        async queryWidExists(wid) {
            const { contact } = await wire.call('exists', { id: String(wid) });
            if (!contact) return null;
            takeContact(contact);
            return { wid: new Wid(contact.pn ?? contact.lid) };
        },
    },
    WAWebGroupCreateJob: { createGroup },
    WAWebGroupQueryJob: {
        queryAndUpdateGroupMetadataById: ({ id }) => refresh(id),
        resetGroupInviteCode: (wid) => wire.call('group_invite', { id: String(wid), renew: true }),
    },
    WASmaxGroupsAddParticipantsRPC: { sendAddParticipantsRPC },
    WAWebWidToJid: { widToGroupJid: String, widToUserJid: String },
    WAWebModifyParticipantsGroupAction: participantActions,
    WAWebGroupModifyInfoJob: {
        setGroupSubject: (wid, title) => wire.call('group_title', { id: String(wid), title }),
        setGroupDescription: (wid, description) => wire.call('group_description', { id: String(wid), description }),
    },
    WAWebVcardParsingUtils: { parseVcard: (text) => ({ name: /^FN:(.*)$/m.exec(text)[1] }) },
    WAWebVcardGetNameFromParsed: { vcardGetNameFromParsed: ({ name }) => name },
    WAWebUploadManager: { encryptAndUpload },
    WAWebStartMediaUploadQpl: { startMediaUploadQpl: () => ({}) },
    WAWebExitGroupAction: { sendExitGroup: (chat) => wire.call('group_leave', { id: String(chat.id) }) },
    WAWebMexFetchGroupInviteCodeJob: { fetchMexGroupInviteCode: (id) => wire.call('group_invite', { id, renew: false }) },
};

// An older or newer page, for tests.
const without = new Set();
window.missing = [];
const asked = new Set();
const untold = new Set();

/** The server keeps the names of the modules that a page was asked for. */
function tellAsked() {
    if (wire.socket?.readyState !== WebSocket.OPEN) return;
    for (const name of untold) wire.call('asked', { name });
    untold.clear();
}

window.require = (name) => {
    if (!asked.has(name)) untold.add(name);
    asked.add(name);
    tellAsked();
    if (without.has(name)) throw new Error(`Requiring unknown module "${name}"`);
    if (Object.hasOwn(MODULES, name)) return MODULES[name];
    window.missing.push(name);
    wire.call('missing', { name });
    throw new Error(`Requiring unknown module "${name}"`);
};

// The library gives a message 15 s to be decrypted.
const later = window.setTimeout;
window.setTimeout = (run, milliseconds, ...args) => later(run, milliseconds === 15000 ? 200 : milliseconds, ...args);

window.Debug = { VERSION: '2.3000.1030000000' };

// Every module of WhatsApp Web that the bridge and the library need for what can be asked for, with the functions that they call, and the
// capabilities of the messenger that are lost without them (none: without these nothing works). A name in a path may lead through objects:
// `Cmd.pinChat` is a function of the module's Cmd.

/** Functions of a module that are needed for these capabilities, with a space between two of them. */
const needed = (capabilities, ...paths) => Object.fromEntries(paths.map((path) => [path, capabilities]));

export const NEEDS = {
    // to be logged in, and to see what comes in
    WAWebSocketModel: needed('', 'Socket.logout'),
    WAWebCmd: {
        ...needed('archive', 'Cmd.archiveChat'),
        ...needed('chat_marks', 'Cmd.markChatUnread', 'Cmd.pinChat'),
        ...needed('delete', 'Cmd.sendRevokeMsgs'),
        ...needed('star', 'Cmd.sendStarMsgs', 'Cmd.sendUnstarMsgs'),
    },
    WAWebConnModel: needed('profile', 'Conn.canSetMyPushname'),
    WAWebCallCollection: needed('', 'on'),
    WAWebAddonReactionTableMode: needed('', 'reactionTableMode.bulkUpsert'),
    WAWebAddonPollVoteTableMode: needed('', 'pollVoteTableMode.bulkUpsert'),
    WAWebUserPrefsMeUser: needed('', 'getMaybeMePnUser', 'getMaybeMeLidUser'),
    WAWebCollections: {
        ...needed(
            '', 'Chat.get', 'Chat.getModelsArray', 'Chat.find', 'Contact.get', 'Contact.find', 'Contact.getModelsArray', 'Msg.get',
            'Msg.getMessagesById',
        ),
        ...needed('groups', 'GroupMetadata.update'),
        ...needed('contacts', 'Blocklist.getModelsArray'),
        ...needed('profile group_settings', 'ProfilePicThumb.get'),
    },
    // chats and people
    WAWebWidFactory: needed('', 'createWid'),
    WAWebFindChatAction: needed('', 'findOrCreateLatestChat'),
    WAWebApiContact: needed('', 'getCurrentLid', 'getPhoneNumber'),
    WAWebLidMigrationUtils: needed('groups group_admin', 'toPn'),
    WAWebContactGetters: needed(
        'contacts', 'getIsMe', 'getIsUser', 'getIsGroup', 'getIsWAContact', 'getUserid', 'getVerifiedName', 'getVerifiedLevel',
        'getStatusMute', 'getName', 'getShortName', 'getPushname', 'getIsEnterprise',
    ),
    WAWebFrontendContactGetters: needed('contacts', 'getIsMyContact'),
    WAWebQueryExistsJob: needed('look_up groups group_admin', 'queryWidExists'),
    WAWebChatLoadMessages: needed('history', 'loadEarlierMsgs'),
    WAWebSendNonMessageDataRequest: needed('history', 'sendPeerDataOperationRequest'),
    WAWebNonMessageDataRequestPlaceholderMessageResendUtils: needed('history', 'handlePlaceholderMsgsSeen'),
    WAWebBlockContactUtils: needed('block', 'getContactToBlockOnlyUseIfNoAssociatedChat'),
    WAWebBlockContactAction: needed('block', 'blockContact', 'unblockContact'),
    WAWebStreamModel: needed('mark_read', 'Stream.markAvailable', 'Stream.markUnavailable'),
    WAWebUpdateUnreadChatAction: needed('mark_read', 'sendSeen'),
    WAWebChatStateBridge: needed('typing', 'sendChatStateComposing', 'sendChatStatePaused'),
    // messages
    WAWebChatGetters: needed('', 'getIsNewsletter', 'getIsBroadcast'),
    WAWebMsgKey: needed('', 'newId'),
    WAWebSendMsgChatAction: needed('', 'addAndSendMsgToChat'),
    WAWebGetEphemeralFieldsMsgActionsUtils: needed('', 'getEphemeralFields'),
    WAWebMsgReply: needed('reply', 'canReplyMsg'),
    WALinkify: needed('', 'findLink', 'findLinks'),
    WAWebMediaOpaqueData: needed('media', 'createFromData'),
    WAWebPrepRawMedia: needed('media', 'prepRawMedia'),
    WAWebMediaStorage: needed('media', 'getOrCreateMediaObject'),
    WAWebMmsMediaTypes: needed('media', 'msgToMediaType'),
    WAWebMediaDataUtils: needed('media', 'shouldUseMediaCache'),
    WAWebMediaMmsV4Upload: needed('media', 'uploadMedia'),
    WAWebStartMediaUploadQpl: needed('media', 'startMediaUploadQpl'),
    WAWebUploadManager: needed('media', 'encryptAndUpload'),
    WAWebDownloadManager: needed('download', 'downloadManager.downloadAndMaybeDecrypt'),
    WAWebVcardParsingUtils: needed('contact', 'parseVcard'),
    WAWebVcardGetNameFromParsed: needed('contact', 'vcardGetNameFromParsed'),
    WAWebMsgActionCapability: {
        ...needed('edit', 'canEditText', 'canEditCaption'),
        ...needed('delete', 'canSenderRevokeMsg', 'canAdminRevokeMsg'),
        ...needed('star', 'canStarMsg'),
    },
    WAWebSendMessageEditAction: needed('edit', 'sendMessageEdit'),
    WAWebSendReactionMsgAction: needed('react', 'sendReactionToMsg'),
    WAWebChatForwardMessage: needed('forward', 'forwardMessages'),
    WAWebPinMsgConstants: needed('pin', 'getPinExpiryDuration'),
    WAWebSendPinMessageAction: needed('pin', 'sendPinInChatMsg'),
    WAWebSendStatusMsgAction: needed('stories', 'sendStatusTextMsgAction'),
    WAWebStatusGatingUtils: needed('stories', 'canCheckStatusRankingPosterGating'),
    // calls
    WAWap: needed('', 'wap', 'generateId'),
    WADeprecatedSendIq: needed('', 'deprecatedCastStanza'),
    // groups
    WAWebGroupCreateJob: needed('groups', 'createGroup'),
    WAWebGroupQueryJob: needed('groups group_admin', 'queryAndUpdateGroupMetadataById', 'resetGroupInviteCode'),
    WASmaxGroupsAddParticipantsRPC: needed('group_admin', 'sendAddParticipantsRPC'),
    WASmaxGroupsMembershipRequestsActionRPC: needed('join_requests', 'sendMembershipRequestsActionRPC'),
    WAWebApiMembershipApprovalRequestStore: needed('join_requests', 'getMembershipApprovalRequests'),
    WAWebJidToWid: needed('join_requests', 'userJidToUserWid'),
    WAWebWidToJid: needed('group_admin join_requests', 'widToGroupJid', 'widToUserJid'),
    WAWebModifyParticipantsGroupAction: needed('group_admin', 'removeParticipants', 'promoteParticipants', 'demoteParticipants'),
    WAWebGroupModifyInfoJob: needed('group_admin', 'setGroupSubject', 'setGroupDescription'),
    WAWebSetPropertyGroupAction: needed('group_settings', 'setGroupProperty'),
    WAWebGroupInviteJob: needed('join_groups', 'joinGroupViaInvite'),
    WAWebMexFetchGroupInviteCodeJob: needed('group_admin', 'fetchMexGroupInviteCode'),
    WAWebExitGroupAction: needed('groups', 'sendExitGroup'),
    // the account's profile
    WAWebSetPushnameConnAction: needed('profile', 'setPushname'),
    WAWebContactStatusBridge: needed('profile', 'setMyStatus'),
    WAWebContactProfilePicThumbBridge: needed('profile group_settings', 'sendSetPicture', 'requestDeletePicture'),
};

/** Runs in the page: the modules and functions of `needs` that it does not have, each with what it is needed for. Nothing is called. */
export function lacking(needs) {
    const missing = [];
    for (const [name, functions] of Object.entries(needs)) {
        let found;
        try {
            found = window.require(name);
        } catch {
            found = null;
        }
        if (!found) {
            missing.push({ name, for: Object.values(functions).join(' ') });
            continue;
        }
        const module = found.default ?? found;
        for (const [path, capabilities] of Object.entries(functions)) {
            const end = (from) => path.split('.').reduce((one, part) => one?.[part], from);
            if (typeof (end(found) ?? end(module)) !== 'function') missing.push({ name: `${name}.${path}`, for: capabilities });
        }
    }
    return missing;
}

/** The names of what is missing by the capabilities that need it. */
export function lost(missing) {
    const found = {};
    for (const { name, for: capabilities } of missing) {
        for (const capability of new Set(capabilities.split(' ').filter(Boolean))) (found[capability] ??= []).push(name);
    }
    return found;
}

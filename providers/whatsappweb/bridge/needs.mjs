// Every module of WhatsApp Web that the bridge and the library need for what can be asked for, with the functions that they call. A name in
// a path may lead through objects: `Cmd.pinChat` is a function of the module's Cmd. An empty list: the module alone.

export const NEEDS = {
    // to be logged in, and to see what comes in
    WAWebSocketModel: ['Socket.logout'],
    WAWebCmd: [
        'Cmd.archiveChat', 'Cmd.markChatUnread', 'Cmd.pinChat', 'Cmd.sendRevokeMsgs', 'Cmd.sendStarMsgs', 'Cmd.sendUnstarMsgs',
    ],
    WAWebConnModel: ['Conn.canSetMyPushname'],
    WAWebUserPrefsMeUser: ['getMaybeMePnUser', 'getMaybeMeLidUser'],
    WAWebCollections: [
        'Chat.get', 'Chat.getModelsArray', 'Chat.find', 'Contact.get', 'Contact.find', 'Contact.getModelsArray',
        'Msg.get', 'Msg.getMessagesById', 'GroupMetadata.update', 'Blocklist.getModelsArray', 'ProfilePicThumb.get',
    ],
    // chats and people
    WAWebWidFactory: ['createWid'],
    WAWebFindChatAction: ['findOrCreateLatestChat'],
    WAWebApiContact: ['getCurrentLid', 'getPhoneNumber'],
    WAWebQueryExistsJob: ['queryWidExists'],
    WAWebChatLoadMessages: ['loadEarlierMsgs'],
    WAWebSendNonMessageDataRequest: ['sendPeerDataOperationRequest'],
    WAWebBlockContactUtils: ['getContactToBlockOnlyUseIfNoAssociatedChat'],
    WAWebBlockContactAction: ['blockContact', 'unblockContact'],
    WAWebUpdateUnreadChatAction: ['sendSeen'],
    WAWebChatStateBridge: ['sendChatStateComposing', 'sendChatStatePaused'],
    // messages
    WAWebChatGetters: ['getIsNewsletter', 'getIsBroadcast'],
    WAWebMsgKey: ['newId'],
    WAWebSendMsgChatAction: ['addAndSendMsgToChat'],
    WAWebGetEphemeralFieldsMsgActionsUtils: ['getEphemeralFields'],
    WAWebMsgReply: ['canReplyMsg'],
    WALinkify: ['findLink', 'findLinks'],
    WAWebMediaOpaqueData: ['createFromData'],
    WAWebPrepRawMedia: ['prepRawMedia'],
    WAWebMediaStorage: ['getOrCreateMediaObject'],
    WAWebMmsMediaTypes: ['msgToMediaType'],
    WAWebMediaDataUtils: ['shouldUseMediaCache'],
    WAWebMediaMmsV4Upload: ['uploadMedia'],
    WAWebUploadManager: ['encryptAndUpload'],
    WAWebDownloadManager: ['downloadManager.downloadAndMaybeDecrypt'],
    WAWebVcardParsingUtils: ['parseVcard'],
    WAWebVcardGetNameFromParsed: ['vcardGetNameFromParsed'],
    WAWebMsgActionCapability: ['canEditText', 'canEditCaption', 'canSenderRevokeMsg', 'canAdminRevokeMsg', 'canStarMsg'],
    WAWebSendMessageEditAction: ['sendMessageEdit'],
    WAWebSendReactionMsgAction: ['sendReactionToMsg'],
    WAWebChatForwardMessage: ['forwardMessages'],
    WAWebPinMsgConstants: ['getPinExpiryDuration'],
    WAWebSendPinMessageAction: ['sendPinInChatMsg'],
    WAWebSendStatusMsgAction: ['sendStatusTextMsgAction'],
    WAWebStatusGatingUtils: ['canCheckStatusRankingPosterGating'],
    // calls
    WAWap: ['wap', 'generateId'],
    WADeprecatedSendIq: ['deprecatedCastStanza'],
    // groups
    WAWebGroupCreateJob: ['createGroup'],
    WAWebGroupQueryJob: ['queryAndUpdateGroupMetadataById', 'resetGroupInviteCode'],
    WASmaxGroupsAddParticipantsRPC: ['sendAddParticipantsRPC'],
    WASmaxGroupsMembershipRequestsActionRPC: ['sendMembershipRequestsActionRPC'],
    WAWebApiMembershipApprovalRequestStore: ['getMembershipApprovalRequests'],
    WAWebWidToJid: ['widToGroupJid', 'widToUserJid'],
    WAWebModifyParticipantsGroupAction: ['removeParticipants', 'promoteParticipants', 'demoteParticipants'],
    WAWebGroupModifyInfoJob: ['setGroupSubject', 'setGroupDescription'],
    WAWebSetPropertyGroupAction: ['setGroupProperty'],
    WAWebGroupInviteJob: ['joinGroupViaInvite'],
    WAWebMexFetchGroupInviteCodeJob: ['fetchMexGroupInviteCode'],
    WAWebExitGroupAction: ['sendExitGroup'],
    // the account's profile
    WAWebSetPushnameConnAction: ['setPushname'],
    WAWebContactStatusBridge: ['setMyStatus'],
    WAWebContactProfilePicThumbBridge: ['sendSetPicture', 'requestDeletePicture'],
};

/** Runs in the page: the modules and functions of `needs` that it does not have. Nothing is called. */
export function lacking(needs) {
    const missing = [];
    for (const [name, paths] of Object.entries(needs)) {
        let found;
        try {
            found = window.require(name);
        } catch {
            found = null;
        }
        if (!found) {
            missing.push(name);
            continue;
        }
        const module = found.default ?? found;
        for (const path of paths) {
            const end = (from) => path.split('.').reduce((one, part) => one?.[part], from);
            if (typeof (end(found) ?? end(module)) !== 'function') missing.push(`${name}.${path}`);
        }
    }
    return missing;
}

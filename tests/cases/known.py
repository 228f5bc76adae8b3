"""Cases that fail today, by file and kind of fault. Whoever mends a kind removes its line: a case that passes unexpectedly fails."""

KNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "telegram-context.json": {
        "links under words, forwards, quotes, stories and inline bots are not shown": (
            "tg-context-text-link",
            "tg-context-forward-user",
            "tg-context-forward-hidden",
            "tg-context-quote",
            "tg-context-reply-not-stored",
            "tg-context-reply-story",
            "tg-context-via-bot",
            "tg-context-forward-chat",
        ),
    },
    "telegram-conversation.json": {
        "a pressed button is its raw data, and no choice": ("tg-talk-press", "tg-talk-press-second-row"),
        "choices cannot be sent on Telegram": ("tg-talk-choices-out",),
        "an answer to the bot's own message does not speak to it": ("tg-talk-reply-is-mention",),
        "nothing can be sent into a topic": ("tg-talk-topic-send", "tg-talk-topic-long-answer", "tg-talk-topic-media"),
        "votes are neither asked for nor shown": ("tg-talk-vote",),
        "an edit that changes the file is left out": ("tg-talk-edited-media",),
    },
    "telegram-notices.json": {
        "service messages start the agent": ("tg-notice-pin", "tg-notice-write-access", "tg-notice-background"),
        "being blocked is not noticed": ("tg-notice-blocked",),
    },
    "telegram-unknown-content.json": {
        "content of other kinds has no words": (
            "tg-content-checklist",
            "tg-content-checklist-added",
            "tg-content-dice",
            "tg-content-rich",
            "tg-content-paid-photo",
            "tg-content-game",
            "tg-content-invoice",
            "tg-content-payment",
            "tg-content-users-shared",
            "tg-content-web-app",
            "tg-content-story",
            "tg-content-giveaway",
            "tg-content-proximity",
            "tg-content-topic-hidden",
            "tg-content-not-invented-yet",
            "tg-content-slot-machine",
            "tg-content-invoice-yen",
            "tg-content-story-channel",
            "tg-content-gift",
        ),
        "a contact is empty": ("tg-content-contact",),
    },
    "slack-addresses.json": {
        "a chat that is addressed otherwise than by its id is another chat": (
            "slack-to-person",
            "slack-to-channel-name",
            "slack-to-channel-mention",
            "slack-to-unknown-name",
            "slack-to-person-mention",
        ),
    },
    "slack-bot-content.json": {
        "attachments and blocks beside a text, and blocks of other kinds, are not read": (
            "slack-content-text-and-attachment",
            "slack-content-fields-only",
            "slack-content-attachment-blocks",
            "slack-content-text-and-blocks",
            "slack-content-placeholder-text",
            "slack-content-rich-only",
            "slack-content-image-block",
            "slack-content-table",
            "slack-content-shared",
            "slack-content-video-block",
        ),
        "an edit of attachments alone is left out": ("slack-content-attachment-edited",),
        "a huddle has no words": ("slack-content-huddle",),
    },
    "slack-interactive.json": {
        "a command cannot be answered": (
            "slack-pick-command-answer",
            "slack-pick-command-agent",
        ),
        "a pick of other menus has no words": (
            "slack-pick-multi",
            "slack-pick-date",
            "slack-pick-user",
            "slack-pick-conversation",
        ),
    },
    "slack-mass-mentions.json": {
        "Markdown that calls a whole channel goes out as a call": (
            "slack-mass-channel",
            "slack-mass-group",
            "slack-mass-edit",
            "slack-mass-agent-echo",
        ),
        "send_choices takes no format": ("slack-mass-choices",),
    },
    "slack-organization.json": {
        "an installation for an organization is not known": (
            "slack-org-event",
            "slack-org-team-id",
        ),
    },
    "slack-people.json": {
        "an id that begins like ours is taken for ours": ("slack-people-prefix",),
        "people who are named get no names where some are unknown": ("slack-people-many",),
        "a person of another workspace has no name": ("slack-people-connect",),
    },
    "discord-bot-content.json": {
        "embeds, components, stickers and forwards beside a text, and their parts, are not read": (
            "discord-content-text-and-embed",
            "discord-content-fields-only",
            "discord-content-components",
            "discord-content-forward-and-comment",
            "discord-content-forward-embed",
            "discord-content-sticker-and-text",
            "discord-content-two-embeds",
            "discord-content-forward-components",
        ),
        "system messages leave out what they are about": (
            "discord-content-poll-result",
            "discord-content-renamed",
        ),
    },
    "discord-interactions.json": {
        "picks of other menus, and labels inside of containers, are not read": (
            "discord-pick-multi",
            "discord-pick-user",
            "discord-pick-nested-button",
            "discord-pick-role",
        ),
        "commands are not taken": ("discord-pick-command",),
    },
    "discord-mentions.json": {
        "the bot's own role is not the bot": ("discord-mention-own-role",),
        "mentions are shown as numbers": ("discord-mention-named",),
    },
    "discord-threads.json": {
        "a thread that is addressed by its id is a chat apart": (
            "discord-thread-by-id",
            "discord-thread-read-thread",
        ),
        "forums take no posts": (
            "discord-thread-forum-post",
            "discord-thread-forum-no-title",
        ),
        "the title of a post is not shown": ("discord-thread-post-title",),
    },
    "whatsapp-official-content.json": {
        "what a message says beside its words is not shown": (
            "wa-content-forwarded",
            "wa-content-list-description",
            "wa-content-two-cards",
            "wa-content-ad",
            "wa-content-product",
            "wa-content-order",
        ),
        "answers to flows and to call permissions have no words": (
            "wa-content-flow",
            "wa-content-flow-not-json",
            "wa-content-call-permission",
            "wa-content-call-permission-refused",
        ),
    },
    "whatsapp-official-identity.json": {
        "a number that somebody else has by now leads to the person before": ("wa-who-number-taken-over",),
        "another wa_id in the answer to a send is another chat": ("wa-who-wa-id-differs",),
        "numbers and scoped ids that were seen together are forgotten": ("wa-who-scoped-after-restart",),
    },
    "whatsapp-official-notices.json": {
        "notices start the agent": ("wa-notice-number-changed",),
        "calls, preferences and people of groups are not told": (
            "wa-notice-missed-call",
            "wa-notice-marketing-stop",
            "wa-notice-group-removed",
        ),
        "what Meta reports about the account is not seen on the instance": (
            "wa-notice-value-error",
            "wa-notice-account-disabled",
            "wa-notice-quality-flagged",
            "wa-notice-account-restricted",
            "wa-notice-template-rejected",
            "wa-notice-value-error-limit",
            "wa-notice-quality-downgrade",
        ),
    },
    "whatsapp-official-reading.json": {
        "mark_read names our own message": ("wa-read-after-our-answer",),
    },
    "meta-messaging.json": {
        "stickers of the present form are unknown": (
            "meta-sticker",
            "meta-sticker-echo",
        ),
        "what is marked as not supported has no words": ("meta-unsupported",),
        "ads, referrals, products and links beside a text are not shown": (
            "meta-ad-message",
            "meta-postback-referral",
            "meta-product-template",
            "meta-fallback",
        ),
    },
    "meta-notices.json": {
        "a thread that another app holds is answered": ("meta-notice-standby",),
        "notices open the window": (
            "meta-notice-take-control",
            "meta-notice-account-linking",
            "meta-notice-request-control",
            "meta-notice-account-unlinked",
        ),
        "a warning without a sender is left out": ("meta-notice-policy",),
        "a referral leaves out its ref": ("meta-notice-referral",),
    },
    "identity-marks.json": {
        "the account's own messages are marked by a name that anybody can take": (
            "identity-me",
            "identity-me-invisible",
            "identity-me-capitals",
            "identity-me-wide",
            "identity-discord-nick",
        ),
        "a line for the agent can be forged": (
            "identity-group-line",
            "identity-name-colon",
            "identity-private-remark",
        ),
    },
    "event-references.json": {
        "events, the stream and catch_up have no reply_to": (
            "reference-events",
            "reference-catch-up",
            "reference-stream",
        ),
    },
    "refusal-hints.json": {
        "a refused send has no next step": (
            "refusal-wa-window",
            "refusal-slack-not-in",
            "refusal-tg-blocked",
            "refusal-tg-entities",
            "refusal-discord-dm",
            "refusal-wa-stopped",
            "refusal-discord-permission",
        ),
    },
    "bad-input.json": {
        "a field that is null loses the message": (
            "bad-wa-null-caption",
            "bad-tg-null-caption",
        ),
        "a body that is nested too deeply is a fault of the server": ("bad-deep-meta",),
    },
}

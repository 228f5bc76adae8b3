"""Slack calls emoji by its own names: `+1` for 👍. Most are the Unicode name; the table has those that are not."""

import re
import unicodedata

# Slack's names that differ from the Unicode name, among those that people use.
_NAMES = {
    "+1": "👍", "-1": "👎", "100": "💯", "tada": "🎉", "heart": "❤️", "joy": "😂", "smile": "😄", "grinning": "😀", "grin": "😁", "laughing": "😆",
    "sweat_smile": "😅", "rolling_on_the_floor_laughing": "🤣", "slightly_smiling_face": "🙂", "upside_down_face": "🙃", "wink": "😉",
    "blush": "😊", "innocent": "😇", "heart_eyes": "😍", "star-struck": "🤩", "kissing_heart": "😘", "yum": "😋", "stuck_out_tongue": "😛",
    "stuck_out_tongue_winking_eye": "😜", "zany_face": "🤪", "hugging_face": "🤗", "thinking_face": "🤔", "neutral_face": "😐",
    "expressionless": "😑", "no_mouth": "😶", "smirk": "😏", "unamused": "😒", "face_with_rolling_eyes": "🙄", "grimacing": "😬",
    "relieved": "😌", "pensive": "😔", "sleepy": "😪", "sleeping": "😴", "mask": "😷", "exploding_head": "🤯", "sunglasses": "😎",
    "nerd_face": "🤓", "confused": "😕", "worried": "😟", "open_mouth": "😮", "hushed": "😯", "astonished": "😲", "flushed": "😳",
    "pleading_face": "🥺", "fearful": "😨", "cold_sweat": "😰", "cry": "😢", "sob": "😭", "scream": "😱", "disappointed": "😞", "sweat": "😓",
    "weary": "😩", "tired_face": "😫", "rage": "😡", "angry": "😠", "face_with_symbols_on_mouth": "🤬", "smiling_imp": "😈", "skull": "💀",
    "hankey": "💩", "clown_face": "🤡", "ghost": "👻", "robot_face": "🤖", "partying_face": "🥳", "melting_face": "🫠", "saluting_face": "🫡",
    "wave": "👋", "raised_hand": "✋", "ok_hand": "👌", "v": "✌️", "crossed_fingers": "🤞", "the_horns": "🤘", "call_me_hand": "🤙",
    "point_left": "👈", "point_right": "👉", "point_up_2": "👆", "point_down": "👇", "point_up": "☝️", "fist": "✊", "facepunch": "👊",
    "clap": "👏", "raised_hands": "🙌", "pray": "🙏", "muscle": "💪", "handshake": "🤝", "writing_hand": "✍️", "eyes": "👀",
    "orange_heart": "🧡", "broken_heart": "💔", "two_hearts": "💕", "sparkles": "✨", "star": "⭐", "star2": "🌟", "zap": "⚡", "fire": "🔥",
    "boom": "💥", "sunny": "☀️", "cloud": "☁️", "snowflake": "❄️", "umbrella": "☔", "coffee": "☕", "beer": "🍺", "beers": "🍻", "pizza": "🍕",
    "cake": "🍰", "birthday": "🎂", "gift": "🎁", "medal": "🏅", "first_place_medal": "🥇", "soccer": "⚽", "dart": "🎯", "rocket": "🚀",
    "car": "🚗", "airplane": "✈️", "house": "🏠", "watch": "⌚", "iphone": "📱", "computer": "💻", "email": "✉️", "envelope": "✉️", "phone": "☎️",
    "bulb": "💡", "moneybag": "💰", "hammer_and_wrench": "🛠️", "gear": "⚙️", "link": "🔗", "lock": "🔒", "unlock": "🔓", "key": "🔑",
    "mag": "🔍", "memo": "📝", "pencil2": "✏️", "date": "📅", "calendar": "📆", "chart_with_upwards_trend": "📈", "bar_chart": "📊",
    "pushpin": "📌", "paperclip": "📎", "scissors": "✂️", "bell": "🔔", "no_bell": "🔕", "loudspeaker": "📢", "mega": "📣",
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌", "heavy_multiplication_x": "✖️",
    "question": "❓", "grey_question": "❔", "exclamation": "❗", "bangbang": "‼️", "warning": "⚠️", "no_entry": "⛔", "no_entry_sign": "🚫",
    "sos": "🆘", "ok": "🆗", "new": "🆕", "recycle": "♻️", "heavy_plus_sign": "➕", "heavy_minus_sign": "➖", "arrow_right": "➡️",
    "arrow_left": "⬅️", "arrow_up": "⬆️", "arrow_down": "⬇️", "red_circle": "🔴", "large_blue_circle": "🔵", "large_green_circle": "🟢",
    "large_yellow_circle": "🟡", "white_circle": "⚪", "black_circle": "⚫", "hourglass": "⌛", "hourglass_flowing_sand": "⏳",
    "alarm_clock": "⏰", "stopwatch": "⏱️", "speech_balloon": "💬", "thought_balloon": "💭", "zzz": "💤", "dog": "🐶", "cat": "🐱", "mouse": "🐭",
    "bug": "🐛", "bee": "🐝", "see_no_evil": "🙈", "hear_no_evil": "🙉", "speak_no_evil": "🙊", "monkey_face": "🐵", "unicorn_face": "🦄",
    "chicken": "🐔", "penguin": "🐧", "tree": "🌳", "evergreen_tree": "🌲", "cactus": "🌵", "rose": "🌹", "earth_africa": "🌍", "rainbow": "🌈",
    "ship": "🚢", "trophy": "🏆", "crown": "👑", "gem": "💎", "man-shrugging": "🤷‍♂️", "woman-shrugging": "🤷‍♀️", "shrug": "🤷", "face_palm": "🤦",
}  # fmt: skip
_ALIASES = {"thumbsup": "+1", "thumbsdown": "-1", "poop": "hankey", "satisfied": "laughing", "punch": "facepunch", "shit": "hankey",
            "simple_smile": "slightly_smiling_face", "collision": "boom", "hand": "raised_hand", "heavy_exclamation_mark": "exclamation"}  # fmt: skip

_STYLE = "\ufe0f"
_TONES = "🏻🏼🏽🏾🏿"
_BY_EMOJI = {emoji.replace(_STYLE, ""): name for name, emoji in reversed(_NAMES.items())}
_SHORTCODE = re.compile(r"(?<![\w:]):(?P<name>[a-z0-9_+'-]{1,100})(?:::skin-tone-(?P<tone>[2-6]))?:(?!\w)")
_TONED = re.compile(r"(?P<name>.+)::skin-tone-(?P<tone>[2-6])")


def emoji_of(name: str) -> str:
    """The emoji that Slack calls so; `:name:` for one of the workspace's own."""
    found = _TONED.fullmatch(name)
    plain, tone = (found["name"], int(found["tone"])) if found else (name, 0)
    emoji = _unicode(plain)
    if emoji is None:
        return f":{name}:"
    return emoji.replace(_STYLE, "") + _TONES[tone - 2] if tone else emoji


def name_of(emoji: str) -> str:
    """Slack's name of an emoji; a name, with colons or without, stays one."""
    plain = emoji.strip(":").replace(_STYLE, "")
    tone = _TONES.find(plain[-1:]) if len(plain) > 1 else -1
    base = plain[:-1] if tone >= 0 else plain
    name = _BY_EMOJI.get(base) or _unicode_name(base)
    if name is None:
        return emoji.strip(":")
    return f"{name}::skin-tone-{tone + 2}" if tone >= 0 else name


def with_emoji(text: str) -> str:
    """Slack writes 👋 as `:wave:`; a text between colons that is no emoji stays."""
    return _SHORTCODE.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    emoji = emoji_of(found[0][1:-1])
    return found[0] if emoji.startswith(":") else emoji


def _unicode(name: str) -> str | None:
    name = _ALIASES.get(name, name)
    if name in _NAMES:
        return _NAMES[name]
    try:
        found = unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return None
    return found if _is_emoji(found) else None


def _unicode_name(emoji: str) -> str | None:
    if len(emoji) != 1 or not _is_emoji(emoji):
        return None
    return unicodedata.name(emoji).casefold().replace(" ", "_").replace("-", "_")


def _is_emoji(text: str) -> bool:
    """Unicode also names letters and commas."""
    return len(text) == 1 and unicodedata.category(text) == "So"

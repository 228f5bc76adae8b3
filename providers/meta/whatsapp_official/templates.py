"""Templates of a business account."""

from providers.kit.json import Json, parts
from providers.templates import Template

TEMPLATE_FIELDS = "name,language,status,category,components"


def template_of(payload: Json) -> Template:
    """Header, body and footer make the text; the placeholders that are filled in are the body's."""
    components = parts(payload, "components")
    texts = [component["text"] for component in components if component.get("text")]
    headers = [str(component.get("format", "")).lower() for component in components if component.get("type") == "HEADER"]
    buttons = [button for component in components for button in parts(component, "buttons")]
    return Template(
        name=payload["name"],
        language=payload["language"],
        status=str(payload.get("status", "")).lower(),
        category=str(payload.get("category", "")).lower(),
        text="\n".join(texts),
        header=next((kind for kind in headers if kind != "text"), ""),
        buttons=tuple(_button(button) for button in buttons),
    )


def _button(button: Json) -> str:
    shown = (str(button.get("type", "")).lower(), str(button.get("text", "")), str(button.get("url", "")))
    return " ".join(filter(None, shown))

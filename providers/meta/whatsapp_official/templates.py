"""Templates of a business account."""

from providers.kit.json import Json
from providers.models import Template

TEMPLATE_FIELDS = "name,language,status,category,components"


def template_of(payload: Json) -> Template:
    """Header, body and footer make the text; the placeholders that are filled in are the body's."""
    texts = [component["text"] for component in payload.get("components", []) if component.get("text")]
    return Template(
        name=payload["name"],
        language=payload["language"],
        status=str(payload.get("status", "")).lower(),
        category=str(payload.get("category", "")).lower(),
        text="\n".join(texts),
    )

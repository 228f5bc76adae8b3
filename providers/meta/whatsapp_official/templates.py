"""Templates of a business account."""

from providers.kit.json import Json
from providers.models import Template

TEMPLATE_FIELDS = "name,language,status,category,components"


def template_of(told: Json) -> Template:
    """Header, body and footer make the text; the placeholders that are filled in are the body's."""
    texts = [component["text"] for component in told.get("components", []) if component.get("text")]
    return Template(
        name=told["name"],
        language=told["language"],
        status=str(told.get("status", "")).lower(),
        category=str(told.get("category", "")).lower(),
        text="\n".join(texts),
    )

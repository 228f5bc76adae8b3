"""The templates that the sandbox has approved."""

from providers.errors import InvalidRequest, NotFound
from providers.templates import Template, TemplateUse

TEMPLATES = (
    Template(name="hello", language="en", status="approved", category="utility", text="Hello {{1}}, your order {{2}} is on its way."),
    Template(name="reminder", language="en", status="approved", category="utility", text="Your appointment is tomorrow."),
)


def filled(use: TemplateUse) -> str:
    """The text of a template with its parameters in place. Raises NotFound and InvalidRequest as a platform would."""
    found = next((one for one in TEMPLATES if (one.name, one.language) == (use.name, use.language)), None)
    if found is None:
        raise NotFound(f"No template {use.name!r} in {use.language!r}.", hint="list_templates has those there are.")
    needed = found.text.count("{{")
    if needed != len(use.parameters) or use.named:
        given = len(use.parameters) + len(use.named)
        raise InvalidRequest(f"The template {use.name} takes {needed} parameters in their order; {given} were given.")
    text = found.text
    for number, parameter in enumerate(use.parameters, start=1):
        text = text.replace(f"{{{{{number}}}}}", parameter)
    return text

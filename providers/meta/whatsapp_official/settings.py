"""What an instance of the Cloud API is set up with."""

from pydantic import SecretStr

from providers.meta.settings import GraphId, MetaSettings


class WhatsAppOfficialSettings(MetaSettings):
    phone_number_id: GraphId
    """Of the sending number, from the app's dashboard. It is not the number itself."""
    access_token: SecretStr
    """Of a system user with whatsapp_business_messaging and whatsapp_business_management; those of the dashboard live a day."""
    app_secret: SecretStr | None = None
    """Signs what Meta brings. Without it nothing is received."""
    business_account_id: GraphId | None = None
    """Where the templates are kept."""

"""The options by which a filter says who it is to Keystone: a user with a password, and the project it asks for.

Names are those of keystoneauth's password plugin (docs.openstack.org/keystoneauth/latest/plugin-options.html).
"""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Settings, setting, text
from objstore.middleware.keystone.tokens import Credentials


@dataclass(frozen=True)
class KeystoneUserSettings(Settings):
    """Base of the settings of filters that need a token of their own."""

    username: str = setting(
        "",
        text,
        "Our own user in Keystone: with the role service or admin to check tokens, or one that reads secrets for keys.",
    )
    user_id: str = setting("", text, "The id of our user, instead of username and its domain.", advanced=True)
    user_domain_id: str = setting("", text, "The id of our user's domain; default where user_domain_name is empty too.")
    user_domain_name: str = setting("", text, "The name of our user's domain, instead of its id.", advanced=True)
    password: str = setting("", text, "The password of our user.")
    project_name: str = setting("", text, "The project that our own token is for, such as service.")
    project_id: str = setting("", text, "The id of that project, instead of its name and domain.", advanced=True)
    project_domain_id: str = setting(
        "", text, "The id of that project's domain; default where project_domain_name is empty too."
    )
    project_domain_name: str = setting("", text, "The name of that project's domain, instead of its id.", advanced=True)

    @property
    def credentials(self) -> Credentials:
        return Credentials(
            password=self.password,
            user_id=self.user_id,
            username=self.username,
            user_domain_id=self.user_domain_id or ("" if self.user_domain_name else "default"),
            user_domain_name=self.user_domain_name,
            project_id=self.project_id,
            project_name=self.project_name,
            project_domain_id=self.project_domain_id or ("" if self.project_domain_name else "default"),
            project_domain_name=self.project_domain_name,
        )

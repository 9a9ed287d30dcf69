"""The policy packs that come with the hub, one TOML file each; `domain.policy` reads them."""

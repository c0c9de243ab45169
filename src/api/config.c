/* The rows of the configuration: see the header. */
#include "api/config.h"

#define KNOB(name, type, member, value, text, ...) \
    { name, type, offsetof(struct cloud_config, member), .otherwise = value, .doc = text, ##__VA_ARGS__ }

static const char *const LOG_FORMATS[] = { "auto", "text", "json", NULL };

static const struct field ROWS[] = {
    KNOB("listen", FIELD_STRING, listen, "127.0.0.1:8700", "Address and port of all APIs."),
    KNOB("unix_socket", FIELD_STRING, unix_socket, NULL,
         "Path of the socket for the agent on this host; default: agent.sock in data_dir."),
    KNOB("data_dir", FIELD_STRING, data_dir, "/var/lib/yunduo", "Folder of the store, keys and images."),
    KNOB("public_url", FIELD_STRING, public_url, NULL,
         "Root of the links in answers, such as https://cloud.example.org; default: as the client reached us."),
    KNOB("region", FIELD_STRING, region, "RegionOne", "Name of this region."),
    KNOB("tls_cert", FIELD_STRING, tls_cert, NULL, "PEM file of the server's certificate; none: plain HTTP."),
    KNOB("tls_key", FIELD_STRING, tls_key, NULL, "PEM file of its key."),
    KNOB("agent_ca", FIELD_STRING, agent_ca, NULL, "PEM file of the CA that signs the certificates of host agents."),
    KNOB("policy_file", FIELD_STRING, policy_file, NULL, "File of rules that override the built-in policy."),
    KNOB("cors_origins", FIELD_STRING, cors_origins, NULL, "Origins whose pages may call the APIs, comma separated."),
    KNOB("log_level", FIELD_STRING, log_level, "info",
         "error, warning, info or debug; per module as in \"info,store=debug\"."),
    KNOB("log_format", FIELD_STRING, log_format, "auto", "text, json, or auto: text on a terminal.",
         .values = LOG_FORMATS),
    KNOB("workers", FIELD_INT, workers, "32", "Threads that serve what writes or waits.", .min = 1, .max = 1024),
    KNOB("stop_seconds", FIELD_INT, stop_seconds, "10", "Time for requests under way when stopping.", .max = 3600),

    KNOB("token_seconds", FIELD_INT, token_seconds, "3600", "Life of a token.", .min = 1, .max = 31536000),
    KNOB("bcrypt_cost", FIELD_INT, bcrypt_cost, "10", "Cost of password hashes; each step doubles it.", .min = 4,
         .max = 16),
    KNOB("password_remember_seconds", FIELD_INT, password_remember_seconds, "300",
         "How long a password that was verified is not hashed again (a keyed digest in memory); 0: never.",
         .max = 3600),
    KNOB("lockout_attempts", FIELD_INT, lockout_attempts, "0", "Failed logins that lock a user; 0: none.",
         .max = 1000),
    KNOB("lockout_seconds", FIELD_INT, lockout_seconds, "1800", "How long a user stays locked.", .min = 1,
         .max = 31536000),
    KNOB("password_expires_days", FIELD_INT, password_expires_days, "0", "Age at which a password expires; 0: never.",
         .max = 36500),
    KNOB("password_history", FIELD_INT, password_history, "0", "How many earlier passwords may not come again.",
         .max = 100),
    KNOB("password_min_age_days", FIELD_INT, password_min_age_days, "0",
         "Days before a user may change a password again.", .max = 3650),
    KNOB("password_regex", FIELD_STRING, password_regex, NULL, "Extended regular expression that passwords must match."),
    KNOB("password_regex_description", FIELD_STRING, password_regex_description, NULL, "What that asks for, for people."),
    KNOB("change_password_first", FIELD_BOOL, change_password_first, "false",
         "Whether a password that an administrator set must be changed before it can be used."),

    KNOB("image_size_max", FIELD_INT, image_size_max, "1099511627776", "Most bytes of one image.", .min = 1,
         .max = INT64_MAX),
    KNOB("image_total_max", FIELD_INT, image_total_max, "-1", "Most bytes of a project's images; -1: no limit.",
         .min = -1, .max = INT64_MAX),
    KNOB("image_count_max", FIELD_INT, image_count_max, "-1", "Most images of a project; -1: no limit.", .min = -1,
         .max = INT64_MAX),
    KNOB("web_download_allow", FIELD_STRINGS, web_download_allow, NULL,
         "Hosts that images may be imported from; none: all that are not private."),
    KNOB("web_download_private", FIELD_BOOL, web_download_private, "false",
         "Whether images may be imported from private, loopback and link-local addresses."),
    KNOB("image_signing_ca", FIELD_STRING, image_signing_ca, NULL,
         "PEM file of the CA whose certificates may sign images."),

    KNOB("vni_min", FIELD_INT, vni_min, "1", "First VXLAN number of tenants' networks.", .min = 1, .max = 16777215),
    KNOB("vni_max", FIELD_INT, vni_max, "65535", "Last one.", .min = 1, .max = 16777215),
    KNOB("vlan_ranges", FIELD_STRINGS, vlan_ranges, NULL, "VLANs of provider networks, as physnet:first:last."),
    KNOB("flat_networks", FIELD_STRINGS, flat_networks, "public", "Physical networks that can be used untagged."),
    KNOB("dns_domain", FIELD_STRING, dns_domain, "yunduo.local.", "Domain of the names of ports."),
    KNOB("network_mtu", FIELD_INT, network_mtu, "1500", "MTU of the wire below; tunnels take off their own header.",
         .min = 1280, .max = 65535),
    KNOB("mac_prefix", FIELD_STRING, mac_prefix, "fa:16:3e", "First bytes of the MAC addresses of ports."),

    KNOB("cpu_ratio", FIELD_DOUBLE, cpu_ratio, "16.0", "Virtual CPUs promised for each of a host."),
    KNOB("ram_ratio", FIELD_DOUBLE, ram_ratio, "1.5", "Memory promised for that of a host."),
    KNOB("disk_ratio", FIELD_DOUBLE, disk_ratio, "1.0", "Disk promised for that of a host."),
    KNOB("build_seconds", FIELD_INT, build_seconds, "600", "Time in which a server must be running.", .min = 10,
         .max = 86400),
    KNOB("host_down_seconds", FIELD_INT, host_down_seconds, "60", "Silence after which a host counts as down.",
         .min = 5, .max = 3600),
    KNOB("reclaim_seconds", FIELD_INT, reclaim_seconds, "0", "How long deleted servers can be restored; 0: not.",
         .max = 31536000),
    KNOB("default_zone", FIELD_STRING, default_zone, "nova", "Availability zone of hosts that are in no other."),

    KNOB("volume_type", FIELD_STRING, volume_type, "__DEFAULT__", "Volume type where a request names none."),
    KNOB("backup_dir", FIELD_STRING, backup_dir, NULL, "Folder of volume backups; default: backups in data_dir."),
};

SCHEMA(CLOUD_CONFIG_SCHEMA, struct cloud_config, ROWS);

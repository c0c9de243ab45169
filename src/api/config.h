/*
 * The configuration of the control process, one row a knob. Services read it through
 * cloud_config(); `yun init` writes it; `yund --describe` prints every knob.
 */
#ifndef YUNDUO_API_CONFIG_H
#define YUNDUO_API_CONFIG_H

#include "api/api.h"

struct cloud_config {
    const char *listen, *unix_socket, *data_dir, *public_url, *region;
    const char *tls_cert, *tls_key, *agent_ca;
    const char *policy_file, *cors_origins;
    const char *log_level, *log_format;
    int64_t workers;
    int64_t stop_seconds;

    /* identity */
    int64_t token_seconds;
    int64_t bcrypt_cost;
    int64_t password_remember_seconds;
    int64_t lockout_attempts, lockout_seconds;
    int64_t password_expires_days, password_history, password_min_age_days;
    const char *password_regex, *password_regex_description;
    bool change_password_first;
    int64_t user_inactive_days;
    int64_t key_rotation_days, keys_kept;
    int64_t project_depth_max;
    const char *limit_model;            /* "flat", "strict_two_level" */

    /* image */
    int64_t image_size_max, image_total_max, image_staging_max, image_count_max, image_uploading_max;
    struct strv image_stores;           /* "name:/folder"; the first is the default */
    struct strv image_methods;
    const char *image_convert;
    bool image_check_format, image_locations;
    struct strv web_download_allow, web_download_ports, web_download_networks;
    bool web_download_private;
    const char *image_certificates;

    /* network */
    int64_t vni_min, vni_max;
    struct strv vlan_ranges;            /* "physnet:100:199" */
    struct strv flat_networks;
    const char *dns_domain;
    int64_t network_mtu;
    const char *mac_prefix;

    /* compute */
    double cpu_ratio, ram_ratio, disk_ratio;
    int64_t build_seconds;              /* a server that is not there by then is an error */
    int64_t host_down_seconds;
    int64_t reclaim_seconds;            /* soft deletion; 0: deleted at once */
    const char *default_zone;

    /* volume */
    const char *volume_type;
    const char *backup_dir;
};

extern const struct schema CLOUD_CONFIG_SCHEMA;

static inline const struct cloud_config *cloud_config(const struct api *api)
{
    return api_config(api);
}

/* What `yun init` gives to each service's seed(). */
struct seed_options {
    const char *admin_password;
    const char *region;
    const char *public_url;             /* the root of all endpoints */
};

#endif

/*
 * Paths of the metadata service, and EC2's tree.
 *
 * EC2's tree is declared once, as rows of path and value; its listings ("a name a line,
 * folders with a slash"), its leaves and the JSON form for the config drive all read the
 * same rows. Versions are older views of the same data; a row says since which it is there.
 */
#include "host/metadata_doc.h"

#include "base/json.h"

#include <ctype.h>

static const char *const OPENSTACK_VERSIONS[] = {
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30",
    "2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14", "latest",
};
static const char *const EC2_VERSIONS[] = {
    "1.0",        "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10",
    "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04", "latest",
};

char *metadata_ec2_id(const char *prefix, const char *uuid, char out[METADATA_EC2_ID_SIZE])
{
    char hex[9] = "00000000";
    size_t n = 0;
    for (const char *p = str_or(uuid, ""); *p && n < 8; p++)
        if (isxdigit((unsigned char)*p))
            hex[n++] = (char)tolower((unsigned char)*p);
    snprintf(out, METADATA_EC2_ID_SIZE, "%.6s-%s", prefix, hex);
    return out;
}

static const char *first_address(const struct server_spec *s)
{
    for (size_t i = 0; i < s->nics.n; i++)
        for (size_t k = 0; k < s->nics.v[i].addresses.n; k++)
            if (s->nics.v[i].addresses.v[k].version == 4)
                return s->nics.v[i].addresses.v[k].address;
    return "";
}

struct leaf {
    char path[64]; /* below meta-data/ */
    const char *value;
    const char *since;
};

struct tree {
    struct leaf rows[96];
    size_t n;
    char instance_id[METADATA_EC2_ID_SIZE], image_id[METADATA_EC2_ID_SIZE];
    char launch_index[24];
};

static void leaf_add(struct tree *t, const char *path, const char *value, const char *since)
{
    if (!value || t->n == ARRAY_SIZE(t->rows))
        return;
    struct leaf *l = &t->rows[t->n++];
    snprintf(l->path, sizeof(l->path), "%s", path);
    l->value = value;
    l->since = since;
}

static void tree_build(const struct server_spec *s, struct tree *t)
{
    t->n = 0;
    snprintf(t->launch_index, sizeof(t->launch_index), "%lld", (long long)s->launch_index);
    metadata_ec2_id("i", s->id, t->instance_id);
    metadata_ec2_id("ami", s->image ? s->image->id : NULL, t->image_id);
    const char *host = str_or(s->hostname, str_or(s->name, ""));
    const char *root = "/dev/vda";

    leaf_add(t, "ami-id", t->image_id, "1.0");
    leaf_add(t, "ami-launch-index", t->launch_index, "1.0");
    leaf_add(t, "ami-manifest-path", "unknown", "1.0");
    leaf_add(t, "block-device-mapping/ami", "vda", "2007-12-15");
    leaf_add(t, "block-device-mapping/root", root, "2007-12-15");
    leaf_add(t, "hostname", host, "1.0");
    leaf_add(t, "instance-action", "none", "2008-09-01");
    leaf_add(t, "instance-id", t->instance_id, "1.0");
    leaf_add(t, "instance-type", s->flavor_name, "2007-08-29");
    leaf_add(t, "local-hostname", host, "2007-01-19");
    leaf_add(t, "local-ipv4", first_address(s), "1.0");
    leaf_add(t, "placement/availability-zone", s->availability_zone, "2008-02-01");
    leaf_add(t, "public-hostname", host, "2007-01-19");
    leaf_add(t, "public-ipv4", str_or(s->public_ipv4, ""), "2007-01-19");
    for (size_t i = 0; i < s->keys.n && i < 16; i++) {
        char path[64];
        snprintf(path, sizeof(path), "public-keys/%zu/openssh-key", i);
        leaf_add(t, path, s->keys.v[i].public_key, "1.0");
    }
    leaf_add(t, "reservation-id", s->reservation_id, "1.0");
    leaf_add(t, "security-groups", str_or(s->security_groups, ""), "1.0");
}

static bool visible(const struct leaf *l, const char *version)
{
    return STREQ(version, "latest") || strcmp(l->since, version) <= 0;
}

/* Names below 'dir' ("" or "public-keys/"): each once, folders with a slash. */
static bool tree_list(const struct server_spec *s, const struct tree *t, const char *dir, const char *version,
                      struct buf *out)
{
    size_t n = strlen(dir);
    const char *last = NULL;
    size_t last_n = 0;
    bool any = false;
    for (size_t i = 0; i < t->n; i++) {
        const char *p = t->rows[i].path;
        if (strncmp(p, dir, n) != 0 || !visible(&t->rows[i], version))
            continue;
        p += n;
        size_t k = strcspn(p, "/");
        if (last && last_n == k && strncmp(last, p, k) == 0)
            continue;
        last = p;
        last_n = k;
        if (any)
            buf_addc(out, '\n');
        any = true;
        if (STREQ(dir, "public-keys/")) {
            /* EC2 lists keys as "0=name" and nothing else that way. */
            size_t key = strtoul(p, NULL, 10);
            buf_printf(out, "%zu=%s", key, key < s->keys.n ? str_or(s->keys.v[key].name, "") : "");
            continue;
        }
        buf_add(out, p, k);
        if (p[k] == '/')
            buf_addc(out, '/');
    }
    return any;
}

static bool ec2_get(const struct server_spec *s, const char *version, const char *rest, struct buf *out)
{
    struct tree t;
    if (str_empty(rest)) {
        buf_adds(out, str_empty(s->user_data) ? "meta-data/" : "meta-data/\nuser-data");
        return true;
    }
    if (STREQ(rest, "user-data"))
        return metadata_user_data(s, out);
    if (!str_starts(rest, "meta-data") || (rest[9] && rest[9] != '/'))
        return false;
    rest += rest[9] ? 10 : 9;
    tree_build(s, &t);
    for (size_t i = 0; i < t.n; i++)
        if (STREQ(t.rows[i].path, rest) && visible(&t.rows[i], version)) {
            buf_adds(out, t.rows[i].value);
            return true;
        }
    char dir[80] = "";
    if (*rest)
        snprintf(dir, sizeof(dir), "%.70s/", rest);
    return tree_list(s, &t, dir, version, out);
}

void metadata_ec2_json(const struct server_spec *s, struct buf *out)
{
    struct tree t;
    struct json_out o = JSON_OUT(out);
    char open[64] = ""; /* the folder that is open, at most two deep: "public-keys/0" */
    tree_build(s, &t);
    json_open_object(&o);
    for (size_t i = 0; i < t.n; i++) {
        const char *path = t.rows[i].path, *slash = strrchr(path, '/');
        size_t n = slash ? (size_t)(slash - path) : 0;
        if (strlen(open) != n || strncmp(open, path, n) != 0) {
            /* Close what differs, open what is new; rows of a folder stand together. */
            size_t same = 0;
            for (size_t k = 0; k <= n && k <= strlen(open); k++) {
                bool end_a = k == n || path[k] == '/', end_b = !open[k] || open[k] == '/';
                if (end_a && end_b && strncmp(open, path, k) == 0)
                    same = k;
                if (path[k] != open[k])
                    break;
            }
            for (const char *q = open + same; *q; q++)
                if (q == open || *q == '/')
                    json_close_object(&o);
            for (const char *q = path + same; q < path + n;) {
                q += *q == '/';
                char name[64];
                size_t k = strcspn(q, "/");
                snprintf(name, sizeof(name), "%.*s", (int)k, q);
                json_put_object(&o, name);
                q += k;
            }
            snprintf(open, sizeof(open), "%.*s", (int)n, path);
        }
        if (STREQ(path, "security-groups")) {
            json_put_array(&o, path);
            for (const char *p = t.rows[i].value; *p;) {
                size_t k = strcspn(p, ",");
                _cleanup_(buf_done) struct buf name = BUF_MAX(1024);
                buf_add(&name, p, k);
                json_string_out(&o, buf_text(&name));
                p += k + (p[k] == ',');
            }
            json_close_array(&o);
        } else if (STREQ(path, "ami-launch-index")) {
            json_put_int(&o, path, s->launch_index);
        } else {
            json_put_string(&o, slash ? slash + 1 : path, t.rows[i].value);
        }
    }
    for (const char *q = open; *q; q++)
        if (q == open || *q == '/')
            json_close_object(&o);
    json_close_object(&o);
}

static bool known(const char *const *versions, size_t n, const char *v, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(versions[i]) == len && strncmp(versions[i], v, len) == 0)
            return true;
    return false;
}

static void list(const char *const *names, size_t n, const char *suffix, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%s%s", i ? "\n" : "", names[i], suffix);
}

static bool openstack_get(const struct server_spec *s, const char *version, const char *file, struct buf *out,
                          const char **ret_type)
{
    static const struct {
        const char *name, *since;
        void (*render)(const struct server_spec *, struct buf *);
    } FILES[] = {
        { "meta_data.json", "2012-08-10", metadata_meta_data },
        { "user_data", "2012-08-10", NULL },
        { "password", "2013-04-04", NULL },
        { "vendor_data.json", "2013-10-17", metadata_vendor_data },
        { "network_data.json", "2015-10-15", metadata_network_data },
        { "vendor_data2.json", "2016-10-06", metadata_vendor_data2 },
    };
    bool all = str_empty(file), first = true;
    for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
        if (!STREQ(version, "latest") && strcmp(FILES[i].since, version) > 0)
            continue;
        if (all) {
            if (STREQ(FILES[i].name, "user_data") && str_empty(s->user_data))
                continue;
            buf_printf(out, "%s%s", first ? "" : "\n", FILES[i].name);
            first = false;
            continue;
        }
        if (!STREQ(FILES[i].name, file))
            continue;
        if (FILES[i].render) {
            *ret_type = "application/json";
            FILES[i].render(s, out);
            return true;
        }
        if (STREQ(file, "password")) {
            buf_adds(out, str_or(s->encrypted_password, ""));
            return true;
        }
        *ret_type = "application/octet-stream";
        return metadata_user_data(s, out);
    }
    return all;
}

bool metadata_get(const struct server_spec *s, const char *path, struct buf *out, const char **ret_type)
{
    char p[256];
    *ret_type = "text/plain; charset=UTF-8";
    while (*path == '/')
        path++;
    if (strlen(path) >= sizeof(p))
        return false;
    /* Doubled slashes are one, as cloud-init makes them. */
    size_t n = 0;
    for (const char *q = path; *q; q++)
        if (!(*q == '/' && (n == 0 || p[n - 1] == '/')))
            p[n++] = *q;
    while (n && p[n - 1] == '/')
        n--;
    p[n] = '\0';

    if (!*p) {
        list(EC2_VERSIONS, ARRAY_SIZE(EC2_VERSIONS), "/", out);
        return true;
    }
    size_t k = strcspn(p, "/");
    const char *rest = p[k] ? p + k + 1 : "";
    if (k == 9 && strncmp(p, "openstack", 9) == 0) {
        if (!*rest) {
            list(OPENSTACK_VERSIONS, ARRAY_SIZE(OPENSTACK_VERSIONS), "", out);
            return true;
        }
        size_t v = strcspn(rest, "/");
        const char *file = rest[v] ? rest + v + 1 : "";
        if (v == 7 && strncmp(rest, "content", 7) == 0) {
            *ret_type = "application/octet-stream";
            return strlen(file) == 4 && strspn(file, "0123456789") == 4 &&
                   metadata_content(s, strtoul(file, NULL, 10), out);
        }
        if (!known(OPENSTACK_VERSIONS, ARRAY_SIZE(OPENSTACK_VERSIONS), rest, v))
            return false;
        char version[16];
        snprintf(version, sizeof(version), "%.*s", (int)v, rest);
        return openstack_get(s, version, file, out, ret_type);
    }
    if (!known(EC2_VERSIONS, ARRAY_SIZE(EC2_VERSIONS), p, k))
        return false;
    char version[16];
    snprintf(version, sizeof(version), "%.*s", (int)k, p);
    return ec2_get(s, version, rest, out);
}

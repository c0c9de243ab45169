/*
 * The documents; metadata_path.c has the paths and the EC2 tree.
 *
 * Rendering is a pure function of the spec, so that a guest that asks twice gets the same
 * answer, and the config drive agrees with the service. Only the random seed differs each
 * time: it feeds the guest's generator and must not be guessable.
 */
#include "host/metadata_doc.h"

#include "base/clock.h"
#include "base/json.h"

#include <arpa/inet.h>
#include <openssl/evp.h>

/* Decodes base64 leniently: blanks and line ends are skipped. False: not base64. */
static bool base64_decode(const char *text, struct buf *out)
{
    unsigned bits = 0, have = 0;
    size_t pad = 0;
    for (const char *p = text; *p; p++) {
        int v;
        if (*p >= 'A' && *p <= 'Z')
            v = *p - 'A';
        else if (*p >= 'a' && *p <= 'z')
            v = *p - 'a' + 26;
        else if (*p >= '0' && *p <= '9')
            v = *p - '0' + 52;
        else if (*p == '+' || *p == '-')
            v = 62;
        else if (*p == '/' || *p == '_')
            v = 63;
        else if (*p == '=' && ++pad <= 2)
            continue;
        else if (*p == '\n' || *p == '\r' || *p == ' ' || *p == '\t')
            continue;
        else
            return false;
        if (pad)
            return false;
        bits = (bits << 6 | (unsigned)v) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_addc(out, (char)(bits >> have & 0xff));
        }
    }
    return true;
}

bool metadata_user_data(const struct server_spec *s, struct buf *out)
{
    if (str_empty(s->user_data))
        return false;
    size_t was = out->len;
    if (!base64_decode(s->user_data, out)) {
        /* Came in plain, from a service that checks less than Nova's. */
        out->len = was;
        buf_adds(out, s->user_data);
    }
    return true;
}

bool metadata_content(const struct server_spec *s, size_t i, struct buf *out)
{
    return i < s->personality.n && base64_decode(str_or(s->personality.v[i].contents, ""), out);
}

static void put_devices(const struct server_spec *s, struct json_out *o)
{
    json_put_array(o, "devices");
    for (size_t i = 0; i < s->nics.n; i++) {
        const struct server_nic *n = &s->nics.v[i];
        if (!n->tag && !n->trusted)
            continue;
        json_open_object(o);
        json_put_string(o, "type", "nic");
        json_put_string(o, "bus", "none");
        json_put_string(o, "address", "none");
        json_put_string(o, "mac", n->mac);
        json_put_bool(o, "vf_trusted", n->trusted);
        json_put_array(o, "tags");
        if (n->tag)
            json_string_out(o, n->tag);
        json_close_array(o);
        json_close_object(o);
    }
    for (size_t i = 0; i < s->disks.n; i++) {
        const struct server_disk *d = &s->disks.v[i];
        if (!d->tag)
            continue;
        json_open_object(o);
        json_put_string(o, "type", "disk");
        json_put_string(o, "bus", "none");
        json_put_string(o, "address", "none");
        if (d->serial)
            json_put_string(o, "serial", d->serial);
        if (d->device) {
            json_key(o, "path");
            _cleanup_(buf_done) struct buf path = BUF_MAX(256);
            buf_printf(&path, "/dev/%s", str_starts(d->device, "/dev/") ? d->device + 5 : d->device);
            json_string_out(o, buf_text(&path));
        }
        json_put_array(o, "tags");
        json_string_out(o, d->tag);
        json_close_array(o);
        json_close_object(o);
    }
    json_close_array(o);
}

void metadata_meta_data(const struct server_spec *s, struct buf *out)
{
    struct json_out o = JSON_OUT(out);
    json_open_object(&o);
    json_put_string(&o, "uuid", s->id);
    const char *password = s->rescue && s->rescue_password ? s->rescue_password : s->admin_password;
    if (!str_empty(password))
        json_put_string(&o, "admin_pass", password);
    if (s->metadata.n)
        json_put_map(&o, "meta", &s->metadata);
    if (s->personality.n) {
        json_put_array(&o, "files");
        for (size_t i = 0; i < s->personality.n; i++) {
            char path[32];
            snprintf(path, sizeof(path), "/content/%04zu", i);
            json_open_object(&o);
            json_put_string(&o, "content_path", path);
            json_put_string(&o, "path", s->personality.v[i].path);
            json_close_object(&o);
        }
        json_close_array(&o);
    }
    if (s->keys.n) {
        json_put_object(&o, "public_keys");
        for (size_t i = 0; i < s->keys.n; i++)
            json_put_string(&o, str_or(s->keys.v[i].name, ""), s->keys.v[i].public_key);
        json_close_object(&o);
        json_put_array(&o, "keys");
        for (size_t i = 0; i < s->keys.n; i++) {
            json_open_object(&o);
            json_put_string(&o, "name", s->keys.v[i].name);
            json_put_string(&o, "type", str_or(s->keys.v[i].type, "ssh"));
            json_put_string(&o, "data", s->keys.v[i].public_key);
            json_close_object(&o);
        }
        json_close_array(&o);
    }
    json_put_string(&o, "hostname", str_or(s->hostname, s->name));
    json_put_string(&o, "name", s->name);
    json_put_int(&o, "launch_index", s->launch_index);
    json_put_string(&o, "availability_zone", s->availability_zone);

    unsigned char seed[510], text[4 * ((sizeof(seed) + 2) / 3) + 1];
    random_bytes(seed, sizeof(seed));
    EVP_EncodeBlock(text, seed, sizeof(seed));
    json_put_string(&o, "random_seed", (const char *)text);

    json_put_string(&o, "project_id", s->project_id);
    put_devices(s, &o);
    json_put_array(&o, "dedicated_cpus");
    for (size_t i = 0; i < s->pinned_cpus.n; i++)
        json_int_out(&o, (int64_t)i);
    json_close_array(&o);
    json_close_object(&o);
}

/* "255.255.255.0" or "ffff:ffff::" of a prefix length; and the network of a CIDR. */
static void mask_text(int64_t version, int64_t prefix, char out[INET6_ADDRSTRLEN])
{
    unsigned char b[16] = { 0 };
    int64_t bits = version == 6 ? 128 : 32;
    for (int64_t i = 0; i < prefix && i < bits; i++)
        b[i / 8] |= (unsigned char)(0x80 >> (i % 8));
    inet_ntop(version == 6 ? AF_INET6 : AF_INET, b, out, INET6_ADDRSTRLEN);
}

static void put_route(struct json_out *o, const char *network, const char *netmask, const char *gateway)
{
    json_open_object(o);
    json_put_string(o, "network", network);
    json_put_string(o, "netmask", netmask);
    json_put_string(o, "gateway", gateway);
    json_close_object(o);
}

static void put_routes(const struct server_address *a, struct json_out *o)
{
    json_put_array(o, "routes");
    if (!str_empty(a->gateway))
        put_route(o, a->version == 6 ? "::" : "0.0.0.0", a->version == 6 ? "::" : "0.0.0.0", a->gateway);
    for (size_t i = 0; i < a->routes.n; i++) {
        char network[INET6_ADDRSTRLEN + 8], mask[INET6_ADDRSTRLEN];
        snprintf(network, sizeof(network), "%s", str_or(a->routes.v[i].destination, ""));
        int64_t version = strchr(network, ':') ? 6 : 4;
        char *slash = strchr(network, '/');
        int64_t prefix = version == 6 ? 128 : 32;
        if (slash) {
            *slash = '\0';
            prefix = strtoll(slash + 1, NULL, 10);
        }
        mask_text(version, prefix, mask);
        put_route(o, network, mask, a->routes.v[i].gateway);
    }
    json_close_array(o);
}

static void put_dns(const struct server_address *a, struct json_out *o)
{
    for (size_t i = 0; i < a->dns.n; i++) {
        json_open_object(o);
        json_put_string(o, "type", "dns");
        json_put_string(o, "address", a->dns.v[i]);
        json_close_object(o);
    }
}

static void put_network(const struct server_nic *n, const char *link, const struct server_address *a,
                        unsigned i, struct json_out *o)
{
    char id[32], type[64], mask[INET6_ADDRSTRLEN];
    snprintf(id, sizeof(id), "network%u", i);
    bool told = true; /* the address is given here; else the guest asks by DHCP */
    if (a->version == 6 && a->ipv6_mode) {
        snprintf(type, sizeof(type), "ipv6_%s", a->ipv6_mode);
    } else if (a->dhcp) {
        snprintf(type, sizeof(type), "ipv%d_dhcp", (int)a->version);
        told = false;
    } else {
        snprintf(type, sizeof(type), "ipv%d", (int)a->version);
    }
    json_open_object(o);
    json_put_string(o, "id", id);
    json_put_string(o, "type", type);
    json_put_string(o, "link", link);
    if (told) {
        mask_text(a->version, a->prefix, mask);
        json_put_string(o, "ip_address", a->address);
        json_put_string(o, "netmask", mask);
        put_routes(a, o);
    }
    json_put_string(o, "network_id", n->network_id);
    if (told) {
        json_put_array(o, "services");
        put_dns(a, o);
        json_close_array(o);
    }
    json_close_object(o);
}

void metadata_network_data(const struct server_spec *s, struct buf *out)
{
    struct json_out o = JSON_OUT(out);
    json_open_object(&o);
    json_put_array(&o, "links");
    for (size_t i = 0; i < s->nics.n; i++) {
        const struct server_nic *n = &s->nics.v[i];
        json_open_object(&o);
        json_put_string(&o, "id", str_or(n->tap, n->port_id));
        json_put_string(&o, "vif_id", n->port_id);
        json_put_string(&o, "type", str_eq(n->type, "direct") ? "hw_veb" : "tap");
        if (n->mtu > 0)
            json_put_int(&o, "mtu", n->mtu);
        else
            json_put_null(&o, "mtu");
        json_put_string(&o, "ethernet_mac_address", n->mac);
        json_close_object(&o);
    }
    json_close_array(&o);

    unsigned count = 0;
    json_put_array(&o, "networks");
    for (size_t i = 0; i < s->nics.n; i++) {
        const struct server_nic *n = &s->nics.v[i];
        bool dhcp[2] = { false, false };
        for (size_t k = 0; k < n->addresses.n; k++) {
            const struct server_address *a = &n->addresses.v[k];
            /* One question by DHCP and family brings all the addresses there are. */
            bool asks = a->dhcp && !(a->version == 6 && a->ipv6_mode);
            if (asks && dhcp[a->version == 6])
                continue;
            dhcp[a->version == 6] |= asks;
            put_network(n, str_or(n->tap, n->port_id), a, count++, &o);
        }
    }
    json_close_array(&o);

    json_put_array(&o, "services");
    struct {
        const char *v[64];
        size_t n;
    } seen = { .n = 0 };
    for (size_t i = 0; i < s->nics.n; i++)
        for (size_t k = 0; k < s->nics.v[i].addresses.n; k++) {
            const struct server_address *a = &s->nics.v[i].addresses.v[k];
            for (size_t d = 0; d < a->dns.n && seen.n < ARRAY_SIZE(seen.v); d++) {
                bool dup = false;
                for (size_t q = 0; q < seen.n; q++)
                    dup |= STREQ(seen.v[q], a->dns.v[d]);
                if (dup)
                    continue;
                seen.v[seen.n++] = a->dns.v[d];
                json_open_object(&o);
                json_put_string(&o, "type", "dns");
                json_put_string(&o, "address", a->dns.v[d]);
                json_close_object(&o);
            }
        }
    json_close_array(&o);
    json_close_object(&o);
}

void metadata_vendor_data(const struct server_spec *s, struct buf *out)
{
    buf_adds(out, str_or(s->vendor_data, "{}"));
}

void metadata_vendor_data2(const struct server_spec *s, struct buf *out)
{
    struct json_out o = JSON_OUT(out);
    json_open_object(&o);
    if (s->vendor_data)
        json_put_raw(&o, "static", s->vendor_data);
    json_close_object(&o);
}

/*
 * Fuzz: what a specification can do to the texts made from it.
 *
 * The input is the JSON of a net_spec, or by its first byte the text of an address list. No
 * text may get out of its place: a rule file has only the lines that we write, so every
 * character of a tenant's must be one of an address, a number or a checked word.
 */
#include "host/net/dhcp.h"
#include "host/net/rules.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Neither quotes nor control characters can come from outside; ours are tabs and newlines. */
static void check_text(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' && *s != '\n' && *s != '\t')
            abort();
}

static void inner(const char *port_id, char *out)
{
    net_device_name("in-", str_or(port_id, ""), out);
}

static void ranges(const uint8_t *data, size_t size, struct arena *a)
{
    struct strv words = { 0 };
    ip_ranges l = { 0 };
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 24);
    const char *text = arena_strndup(a, (const char *)data, size);
    if (!text || !strv_split(a, &words, text, " \n"))
        return;
    for (size_t i = 0; i < words.n; i++) {
        struct ip_range r;
        if (ip_range_parse(words.v[i], &r))
            vec_push(a, &l, r);
    }
    ip_ranges all = { 0 };
    VEC_FOREACH(r, &l)
        vec_push(a, &all, *r);
    ip_ranges_merge(&l);
    /* Disjoint and ascending, and nothing was lost. */
    for (size_t i = 1; i < l.n; i++)
        if (l.v[i].family == l.v[i - 1].family && memcmp(l.v[i - 1].hi, l.v[i].lo, 16) >= 0)
            abort();
    VEC_FOREACH(r, &all) {
        struct ip lo = { .family = r->family }, hi = { .family = r->family };
        memcpy(lo.bytes, r->lo, 16);
        memcpy(hi.bytes, r->hi, 16);
        if (!ip_ranges_have(&l, &lo) || !ip_ranges_have(&l, &hi))
            abort();
    }
    VEC_FOREACH(r, &l)
        ip_range_print(&b, r);
    check_text(buf_text(&b));
}

static void spec(const uint8_t *data, size_t size, struct arena *a)
{
    char error[200], name[NET_NAME_SIZE];
    _cleanup_(json_decrefp) json_t *tree = json_parse((const char *)data, size, error, sizeof(error));
    struct net_spec s = { 0 };
    struct decode_error problem;
    if (!json_is_object(tree) ||
        schema_decode(&NET_SPEC_SCHEMA, tree, DECODE_STORED, 0, a, &s, NULL, &problem) != 0)
        return;
    struct rules_input in = { .spec = &s };
    uint32_t n = 0;
    VEC_FOREACH(net, &s.networks) {
        if (!net->id)
            return;
        struct rules_network rn = { net->id, arena_strdup(a, net_bridge_name(net->id, name)), ++n };
        vec_push(a, &in.networks, rn);
    }
    VEC_FOREACH(p, &s.ports) {
        if (!p->id)
            return;
        struct rules_port rp = { p, arena_strdup(a, port_device(p, name)), ++n };
        vec_push(a, &in.ports, rp);
        strv_add(a, &in.members, rp.device);
    }
    _cleanup_(buf_done) struct buf text = BUF_MAX(1 << 26);
    if (rules_render(&in, a, &text) == 0)
        check_text(buf_text(&text));
    struct flow_index *x = flow_index_new(&in, a);
    const struct flow f = {
        .family = AF_INET, .protocol = 6, .src = { AF_INET, { 10 } }, .dst = { AF_INET, { 11 } }, .zone = 1
    };
    if (x)
        (void)flow_allowed(x, &f);
    VEC_FOREACH(r, &s.routers) {
        const struct router_devices dev = { r->gateway ? "gw-0" : NULL };
        const char *advertise = NULL;
        buf_clear(&text);
        if (rules_router(r, &dev, a, &text) == 0)
            check_text(buf_text(&text));
        (void)flow_translated(r, &f);
        if (advertise_render(&s, r, inner, "/run", a, &advertise) == 0 && advertise)
            check_text(advertise);
    }
    VEC_FOREACH(net, &s.networks) {
        struct dhcp_files files;
        struct strv none = { 0 };
        if (dhcp_render(&s, net, "/run", &none, a, &files) != 0)
            continue;
        check_text(files.conf);
        check_text(files.hosts);
        check_text(files.opts);
        check_text(files.names);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 20);
    if (size == 0 || !a)
        return 0;
    if (data[0] == '{')
        spec(data, size, a);
    else
        ranges(data, size, a);
    return 0;
}

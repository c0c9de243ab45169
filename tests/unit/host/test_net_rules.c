/*
 * Rule texts against files: each net/NAME.json is a net_spec, NAME.nft what is made of it.
 * A change of behaviour is a difference in review; run with GOLDEN_WRITE=1 to write the files
 * anew. Then the judgement of flows, which must agree with the texts, and addresses.
 */
#include "host/net/dhcp.h"
#include "host/net/rules.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 22);
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_add(&b, chunk, n);
    fclose(f);
    buf_adds(&b, "");
    return b.len ? buf_take(&b) : strdup("");
}

struct net_fixture {
    struct net_spec spec;
    struct rules_input in;
};

/* Devices are called as the driver would, marks count from 11, zones from 1; the second
 * network's bridge has an address of the host's. */
static void load(const char *name, struct arena *a, struct net_fixture *fx)
{
    char path[512], error[200], device[NET_NAME_SIZE];
    snprintf(path, sizeof(path), "%s/%s.json", GOLDEN_DIR, name);
    _cleanup_(freep) char *text = read_file(path);
    assert_non_null(text);
    _cleanup_(json_decrefp) json_t *tree = json_parse(text, strlen(text), error, sizeof(error));
    assert_non_null(tree);
    struct decode_error problem;
    memset(fx, 0, sizeof(*fx));
    assert_int_equal(schema_decode(&NET_SPEC_SCHEMA, tree, DECODE_STORED, 0, a, &fx->spec, NULL, &problem),
                     0);
    fx->in.spec = &fx->spec;
    uint32_t zone = 0, mark = 10;
    VEC_FOREACH(n, &fx->spec.networks) {
        struct rules_network rn = { n->id, arena_strdup(a, net_bridge_name(n->id, device)), ++zone };
        vec_push(a, &fx->in.networks, rn);
    }
    VEC_FOREACH(p, &fx->spec.ports) {
        struct rules_port rp = { p, arena_strdup(a, port_device(p, device)), ++mark };
        vec_push(a, &fx->in.ports, rp);
        strv_add(a, &fx->in.members, rp.device);
        if (str_eq(p->network_id, fx->spec.networks.v[0].id))
            strv_add(a, &fx->in.closed, rp.device);
    }
}

static void compare(const char *name, const char *suffix, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.%s", GOLDEN_DIR, name, suffix);
    if (getenv("GOLDEN_WRITE")) {
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    _cleanup_(freep) char *golden = read_file(path);
    assert_non_null(golden);
    if (!STREQ(golden, text))
        print_error("%s differs from what is made now:\n%s\n", path, text);
    assert_true(STREQ(golden, text));
}

static void host_tables(void **state)
{
    (void)state;
    static const char *const CASES[] = { "one_port", "remote_group", "security_off", "allowed_pairs",
                                         "ipv6",     "folding",      "stateless",    "two_networks" };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(0);
        _cleanup_(buf_done) struct buf out = BUF_MAX(1 << 22);
        struct net_fixture fx;
        load(CASES[i], a, &fx);
        assert_int_equal(rules_render(&fx.in, a, &out), 0);
        compare(CASES[i], "nft", buf_text(&out));
    }
}

static void router_tables(void **state)
{
    (void)state;
    static const char *const CASES[] = { "router_snat", "router_plain", "floating_ip", "port_forwarding" };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(0);
        _cleanup_(buf_done) struct buf out = BUF_MAX(1 << 22);
        struct net_fixture fx;
        load(CASES[i], a, &fx);
        const struct router_spec *r = &fx.spec.routers.v[0];
        const struct router_devices dev = { .gateway = r->gateway ? "gw-1" : NULL };
        assert_int_equal(rules_router(r, &dev, a, &out), 0);
        compare(CASES[i], "nft", buf_text(&out));
    }
}

static void inner(const char *port_id, char *out)
{
    net_device_name("in-", port_id, out);
}

static void dnsmasq_files(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct net_fixture fx;
    struct dhcp_files f;
    struct strv upstream = { 0 };
    const char *advertise = NULL;
    load("dhcp", a, &fx);
    strv_add(a, &upstream, "9.9.9.9");
    strv_add(a, &upstream, "no address\n");
    assert_int_equal(dhcp_render(&fx.spec, &fx.spec.networks.v[0], "/run/x", &upstream, a, &f), 0);
    compare("dhcp", "conf", f.conf);
    compare("dhcp", "hosts", f.hosts);
    compare("dhcp", "opts", f.opts);
    compare("dhcp", "names", f.names);
    assert_int_equal(advertise_render(&fx.spec, &fx.spec.routers.v[0], inner, "/run/x", a, &advertise), 0);
    assert_non_null(advertise);
    compare("advertise", "conf", advertise);
    fx.spec.routers.v[0].interfaces.n = 1; /* the leg with IPv4 only */
    assert_int_equal(advertise_render(&fx.spec, &fx.spec.routers.v[0], inner, "/run/x", a, &advertise), 0);
    assert_null(advertise);
}

static struct flow flow_of(int protocol, const char *src, int sport, const char *dst, int dport)
{
    struct flow f = { .protocol = protocol,
                      .sport = (uint16_t)sport,
                      .dport = (uint16_t)dport,
                      .zone = 1,
                      .icmp = protocol == 1 || protocol == 58 };
    assert_true(ip_parse(src, &f.src) && ip_parse(dst, &f.dst));
    f.family = f.src.family;
    f.reply_src = f.dst;
    f.reply_dst = f.src;
    f.reply_sport = f.dport;
    f.reply_dport = f.sport;
    return f;
}

static void flows_are_judged(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct net_fixture fx;
    load("one_port", a, &fx);
    struct flow_index *x = flow_index_new(&fx.in, a);
    struct flow f = flow_of(6, "192.0.2.1", 4000, "10.0.0.5", 22);
    assert_true(flow_allowed(x, &f));
    f = flow_of(6, "192.0.2.1", 4000, "10.0.0.5", 23);
    assert_false(flow_allowed(x, &f));
    f.zone = 9; /* another network's flow between the same addresses */
    assert_true(flow_allowed(x, &f));
    f = flow_of(6, "10.0.0.5", 4000, "192.0.2.1", 23);
    assert_true(flow_allowed(x, &f));
    f = flow_of(1, "192.0.2.1", 8, "10.0.0.5", 0);
    assert_true(flow_allowed(x, &f));
    f = flow_of(1, "192.0.2.1", 13, "10.0.0.5", 0);
    assert_false(flow_allowed(x, &f));
    f = flow_of(17, "10.0.0.1", 67, "10.0.0.5", 68);
    assert_true(flow_allowed(x, &f));
    f = flow_of(6, "192.0.2.1", 1, "192.0.2.2", 1);
    assert_true(flow_allowed(x, &f));

    load("remote_group", a, &fx);
    x = flow_index_new(&fx.in, a);
    f = flow_of(6, "10.0.0.6", 4000, "10.0.0.5", 99);
    assert_true(flow_allowed(x, &f));
    f = flow_of(6, "10.9.200.1", 4000, "10.0.0.5", 99);
    assert_true(flow_allowed(x, &f));
    f = flow_of(6, "10.0.0.7", 4000, "10.0.0.5", 99);
    assert_false(flow_allowed(x, &f));
}

static void translations_are_judged(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct net_fixture fx;
    load("floating_ip", a, &fx);
    const struct router_spec *r = &fx.spec.routers.v[0];
    struct flow f = flow_of(6, "172.24.4.1", 4000, "172.24.4.20", 22);
    assert_false(flow_translated(r, &f));
    ip_parse("10.0.0.5", &f.reply_src);
    assert_true(flow_translated(r, &f));
    ip_parse("10.0.0.6", &f.reply_src);
    assert_false(flow_translated(r, &f));
    f = flow_of(6, "10.0.0.5", 4000, "192.0.2.1", 80);
    assert_false(flow_translated(r, &f));
    ip_parse("172.24.4.20", &f.reply_dst);
    assert_true(flow_translated(r, &f));
    f = flow_of(6, "10.0.0.9", 4000, "192.0.2.1", 80);
    ip_parse("172.24.4.10", &f.reply_dst);
    assert_true(flow_translated(r, &f));
    ip_parse("172.24.4.20", &f.reply_dst);
    assert_false(flow_translated(r, &f));

    load("port_forwarding", a, &fx);
    r = &fx.spec.routers.v[0];
    f = flow_of(6, "172.24.4.1", 4000, "172.24.4.30", 6001);
    ip_parse("10.0.0.6", &f.reply_src);
    f.reply_sport = 7001;
    assert_true(flow_translated(r, &f));
    f.reply_sport = 7000;
    assert_false(flow_translated(r, &f));
    /* What never leaves is not translated: a routed network inside, the metadata service. */
    f = flow_of(6, "10.0.0.5", 4000, "10.8.1.1", 80);
    assert_true(flow_translated(r, &f));
    f = flow_of(6, "10.0.0.5", 4000, "169.254.169.254", 80);
    assert_true(flow_translated(r, &f));
    f = flow_of(6, "10.0.0.5", 4000, "10.7.1.1", 80);       /* but this route leads outside */
    assert_false(flow_translated(r, &f));
}

static void addresses(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct ip_range r;
    struct ip ip;
    int prefix;
    static const char *const BAD[] = { "",
                                       "/",
                                       "10.0.0.1/",
                                       "10.0.0.1/33",
                                       "10.0.0.1/-1",
                                       "10.0.0.1/1x",
                                       "::/129",
                                       "10.0.0.1;drop",
                                       "fe80::1%eth0",
                                       "10.0.0",
                                       "1.2.3.4/00000000000000000024" };
    for (size_t i = 0; i < ARRAY_SIZE(BAD) - 1; i++)
        assert_false(ip_range_parse(BAD[i], &r));
    assert_false(ip_range_parse(NULL, &r));
    assert_true(ip_parse_prefix("10.0.0.77/26", &ip, &prefix));
    assert_int_equal(prefix, 26);

    ip_ranges l = { 0 };
    static const char *const IN[] = { "10.0.1.0/24", "10.0.0.0/24",     "10.0.0.7",      "10.0.2.0",
                                      "::1",         "255.255.255.255", "2001:db8::/32", "2001:db8:1::/48" };
    for (size_t i = 0; i < ARRAY_SIZE(IN); i++) {
        assert_true(ip_range_parse(IN[i], &r));
        vec_push(a, &l, r);
    }
    ip_ranges_merge(&l);
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    VEC_FOREACH(x, &l) {
        ip_range_print(&b, x);
        buf_addc(&b, ' ');
    }
    assert_string_equal(buf_text(&b), "10.0.0.0-10.0.2.0 255.255.255.255 ::1 2001:db8::/32 ");
    uint8_t mac[ETH_ALEN];
    char text[IP_TEXT_SIZE];
    assert_false(mac_parse("fa:16:3e:00:00:0", mac));
    assert_false(mac_parse("fa-16-3e-00-00-01", mac));
    assert_true(mac_parse("FA:16:3e:00:00:01", mac));
    struct ip ll = mac_link_local(mac);
    assert_string_equal(ip_text(&ll, text), "fe80::f816:3eff:fe00:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_tables),
        cmocka_unit_test(router_tables),
        cmocka_unit_test(dnsmasq_files),
        cmocka_unit_test(flows_are_judged),
        cmocka_unit_test(translations_are_judged),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

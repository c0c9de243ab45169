/*
 * What this host lacks, found by trying: in a namespace of the probe's own, that ends with it,
 * so nothing on the host is touched.
 */
#include "host/net/linux.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <pthread.h>

struct probe {
    struct arena *a;
    struct strv *missing;
    int result;
};

static void lacks(struct probe *p, const char *sentence)
{
    strv_add(p->a, p->missing, sentence);
}

static void try_links(struct probe *p, struct netlink *nl)
{
    static const struct {
        struct link_new new;
        const char *sentence;
    } ROWS[] = {
        { { .name = "yb-0", .kind = "bridge" }, "The kernel has no bridges: no network can be made." },
        { { .name = "yv0", .kind = "vxlan", .vni = 1, .port = 4789 },
          "The kernel has no VXLAN: networks can't span hosts." },
        { { .name = "yl0", .kind = "vlan", .parent = 1, .tag = 2 },
          "The kernel has no VLAN devices (8021q): VLAN provider networks are refused." },
        { { .name = "yq0", .kind = "ifb" },
          "The kernel has no ifb devices: what guests send can't be limited." },
    };
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        int r = link_add(nl, &ROWS[i].new);
        if (r == -EOPNOTSUPP)
            lacks(p, ROWS[i].sentence);
    }
    const struct link *l = NULL;
    if (link_get(nl, p->a, "yb-0", &l) == 0 && !l->filtered)
        lacks(p, "The kernel does not show bridged packets to the firewall (br_netfilter): security groups "
                 "can't work.");
}

static void try_rules(struct probe *p)
{
    static const char *const ROWS[][2] = {
        { "table bridge yunduo { set s { type mark . ether_addr . ipv4_addr; }\n chain c { type filter hook "
          "prerouting "
          "priority -200; meta mark . ether saddr . ip saddr @s accept\n }\n }",
          "The kernel's nftables has no bridge family: guests can't be kept from spoofing addresses." },
        { "table inet yunduo { map z { typeof iifname : ct zone; }\n chain c { type filter hook prerouting "
          "priority "
          "-450; ct zone set iifname map @z\n }\n chain d { type filter hook forward priority 0; ct state "
          "established accept\n }\n }",
          "The kernel has no connection tracking with zones: stateful security groups can't work." },
        { "table inet yunduo { map f { type ipv4_addr : ipv4_addr; }\n chain c { type nat hook prerouting "
          "priority -100; "
          "dnat ip to ip daddr map @f\n }\n }",
          "The kernel has no address translation: routers can't have floating IPs." },
    };
    char error[256];
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct nft_memory m = { 0 };
        const char *families[] = { i == 0 ? "bridge" : "inet", NULL };
        if (nft_make(ROWS[i][0], families, &m, error, sizeof(error)) < 0)
            lacks(p, ROWS[i][1]);
        m = (struct nft_memory){ 0 };
        (void)nft_make("", families, &m, error, sizeof(error));
    }
}

static void *probe_thread(void *arg)
{
    struct probe *p = arg;
    if (unshare(CLONE_NEWNET) < 0) {
        p->result = -errno;
        if (p->result == -EPERM) {
            lacks(p, "The agent may not make network namespaces: it must run as root.");
            p->result = 0;
        }
        return NULL;
    }
    _cleanup_(netlink_closep) struct netlink *nl = NULL;
    p->result = netlink_open(NETLINK_ROUTE, &nl);
    if (p->result < 0)
        return NULL;
    try_links(p, nl);
    try_rules(p);
    if (tap_add("yt0", 0) < 0)
        lacks(p, "The kernel has no tap devices, or /dev/net/tun is missing: guests can't be plugged in.");
    return NULL;
}

static bool in_path(const char *program)
{
    const char *path = str_or(getenv("PATH"), "/usr/sbin:/usr/bin:/sbin:/bin");
    char full[512];
    while (*path) {
        size_t n = strcspn(path, ":");
        snprintf(full, sizeof(full), "%.*s/%s", (int)n, path, program);
        if (access(full, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

int linux_probe(struct net_driver *d, struct arena *a, struct strv *ret_missing)
{
    (void)d;
    struct strv missing = { 0 };
    struct probe p = { a, &missing, 0 };
    pthread_t thread;
    int r = pthread_create(&thread, NULL, probe_thread, &p);
    if (r != 0)
        return -r;
    pthread_join(thread, NULL);
    if (p.result < 0)
        return p.result;
    if (!in_path("dnsmasq"))
        lacks(&p, "The program dnsmasq is not installed: networks have no DHCP and no names.");
    if (arena_failed(a))
        return -ENOMEM;
    *ret_missing = missing;
    return 0;
}

/*
 * The inside of a namespace: addresses, routes, switches, and telling the neighbours.
 *
 * Runs on a thread inside the namespace. The same shape as the pass outside: what is there
 * is asked, what is too much goes first.
 */
#include "host/net/linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <sys/socket.h>

struct inner_call {
    const struct inner *want;
    struct netlink *nl;
    struct arena *a;
    char *error;
    size_t size;
    int changes;
};

static int failed(struct inner_call *c, int r, const char *what, const char *name)
{
    if (!c->error[0]) {
        const char *kernel = c->nl ? netlink_message(c->nl) : "";
        snprintf(c->error, c->size, "Not done: %s %s: %s%s%s%s.", what, name, strerrordesc_np(-r),
                 *kernel ? " (" : "", kernel, *kernel ? ")" : "");
    }
    return r;
}

static int did(struct inner_call *c, int r, const char *what, const char *name)
{
    if (r < 0)
        return failed(c, r, what, name);
    c->changes++;
    return 0;
}

static uint16_t checksum(const void *data, size_t n, uint32_t sum)
{
    const uint8_t *b = data;
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)b[i] << 8 | b[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* A gratuitous ARP, or an unsolicited neighbour advertisement: whoever knew the address
 * elsewhere learns that it has come here. Nothing is lost when it can't be sent. */
static void announce(const struct link *l, const struct ip *ip)
{
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = l->index, .sll_halen = ETH_ALEN };
    /* Two bytes in front align what follows the Ethernet header. */
    _Alignas(8) uint8_t space[128] = { 0 };
    uint8_t *frame = space + 2;
    size_t n;
    struct ether_header *eth = (void *)frame;
    memcpy(eth->ether_shost, l->mac, ETH_ALEN);
    if (ip->family == AF_INET) {
        struct ether_arp *arp = (void *)(frame + sizeof(*eth));
        memset(eth->ether_dhost, 0xff, ETH_ALEN);
        eth->ether_type = htons(ETHERTYPE_ARP);
        arp->ea_hdr.ar_hrd = htons(ARPHRD_ETHER);
        arp->ea_hdr.ar_pro = htons(ETHERTYPE_IP);
        arp->ea_hdr.ar_hln = ETH_ALEN;
        arp->ea_hdr.ar_pln = 4;
        arp->ea_hdr.ar_op = htons(ARPOP_REQUEST);
        memcpy(arp->arp_sha, l->mac, ETH_ALEN);
        memcpy(arp->arp_spa, ip->bytes, 4);
        memcpy(arp->arp_tpa, ip->bytes, 4);
        n = sizeof(*eth) + sizeof(*arp);
    } else {
        static const uint8_t ALL[16] = { 0xff, 2, [15] = 1 };
        struct ip6_hdr *ip6 = (void *)(frame + sizeof(*eth));
        struct nd_neighbor_advert *na = (void *)(ip6 + 1);
        uint8_t *option = (uint8_t *)(na + 1);
        eth->ether_dhost[0] = eth->ether_dhost[1] = 0x33;
        eth->ether_dhost[5] = 1;
        eth->ether_type = htons(ETHERTYPE_IPV6);
        uint16_t size = sizeof(*na) + 8;
        ip6->ip6_vfc = 0x60;
        ip6->ip6_plen = htons(size);
        ip6->ip6_nxt = IPPROTO_ICMPV6;
        ip6->ip6_hlim = 255;
        memcpy(&ip6->ip6_src, ip->bytes, 16);
        memcpy(&ip6->ip6_dst, ALL, 16);
        na->nd_na_type = ND_NEIGHBOR_ADVERT;
        na->nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
        memcpy(&na->nd_na_target, ip->bytes, 16);
        option[0] = ND_OPT_TARGET_LINKADDR;
        option[1] = 1;
        memcpy(option + 2, l->mac, ETH_ALEN);
        uint32_t sum = size + IPPROTO_ICMPV6;
        for (int i = 0; i < 16; i += 2)
            sum += ((uint32_t)ip->bytes[i] << 8 | ip->bytes[i + 1]) + ((uint32_t)ALL[i] << 8 | ALL[i + 1]);
        na->nd_na_cksum = checksum(na, size, sum);
        n = sizeof(*eth) + sizeof(*ip6) + size;
    }
    memcpy(to.sll_addr, eth->ether_dhost, ETH_ALEN);
    to.sll_protocol = eth->ether_type;
    _cleanup_(closep) int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)sendto(fd, frame, n, 0, (struct sockaddr *)&to, sizeof(to));
}

static int switch_on(struct inner_call *c, const char *path, const char *value)
{
    int r = sysctl_set(path, value);
    if (r == -ENOENT)
        return 0; /* a kernel without it has nothing to switch */
    return r == 0 ? 0 : did(c, r, "set", path);
}

static int switches(struct inner_call *c)
{
    const char *forward = c->want->forward ? "1" : "0";
    int r = switch_on(c, "ipv4/ip_forward", forward);
    if (r == 0)
        r = switch_on(c, "ipv6/conf/all/forwarding", forward);
    if (r == 0)
        r = switch_on(c, "ipv4/conf/all/rp_filter", "0");
    if (r == 0)
        r = switch_on(c, "ipv4/conf/all/arp_ignore", "1");
    if (r == 0)
        r = switch_on(c, "ipv4/conf/all/arp_announce", "2");
    return r;
}

static int link_switches(struct inner_call *c, const char *name)
{
    static const char *const ROWS[][3] = {
        { "ipv6", "accept_ra", "0" },      { "ipv6", "accept_dad", "0" },       { "ipv4", "rp_filter", "0" },
        { "ipv4", "send_redirects", "0" }, { "ipv4", "accept_redirects", "0" },
    };
    char path[96];
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ROWS); i++) {
        snprintf(path, sizeof(path), "%s/conf/%s/%s", ROWS[i][0], name, ROWS[i][1]);
        r = switch_on(c, path, ROWS[i][2]);
    }
    return r;
}

static bool address_same(const struct address *a, const struct ip *ip, int prefix)
{
    return ip_equal(&a->ip, ip) && a->prefix == prefix;
}

/* Makes the addresses of a link exactly these. The kernel's own link-local address stays. */
static int addresses_make(struct inner_call *c, const struct link *l, const struct strv *cidrs,
                          const struct strv *hosts, bool loud)
{
    addresses have, want = { 0 };
    int r = addresses_list(c->nl, l->index, c->a, &have);
    if (r < 0)
        return failed(c, r, "list addresses of", l->name);
    for (size_t i = 0; i < cidrs->n + hosts->n; i++) {
        struct address at = { .index = l->index };
        const char *text = i < cidrs->n ? cidrs->v[i] : hosts->v[i - cidrs->n];
        if (!ip_parse_prefix(text, &at.ip, &at.prefix))
            return failed(c, -EINVAL, "read address", text);
        vec_push(c->a, &want, at);
    }
    struct ip own = mac_link_local(l->mac);
    VEC_FOREACH(h, &have) {
        bool keep = ip_equal(&h->ip, &own) || (h->ip.family == AF_INET && h->ip.bytes[0] == 127) ||
                    (l->flags & IFF_LOOPBACK && h->ip.family == AF_INET6 && h->prefix == 128 &&
                     h->ip.bytes[0] == 0 && h->ip.bytes[15] == 1);
        VEC_FOREACH(w, &want)
            keep |= address_same(h, &w->ip, w->prefix);
        if (!keep &&
            (r = did(c, address_delete(c->nl, l->index, &h->ip, h->prefix), "remove address of", l->name)) <
                0 &&
            r != -EADDRNOTAVAIL)
            return r;
    }
    VEC_FOREACH(w, &want) {
        bool there = false;
        VEC_FOREACH(h, &have)
            there |= address_same(h, &w->ip, w->prefix);
        if (there)
            continue;
        r = did(c, address_add(c->nl, l->index, &w->ip, w->prefix), "add address to", l->name);
        if (r < 0)
            return r;
        if (loud)
            announce(l, &w->ip);
    }
    return 0;
}

static bool route_same(const struct route *x, const struct route *y)
{
    return x->dst.family == y->dst.family && x->prefix == y->prefix &&
           memcmp(x->dst.bytes, y->dst.bytes, 16) == 0 && ip_equal(&x->via, &y->via) &&
           (x->via.family || x->index == y->index);
}

static int routes_make(struct inner_call *c)
{
    routes have, want = { 0 };
    int r = routes_list(c->nl, c->a, &have), worst = 0;
    if (r < 0)
        return failed(c, r, "list", "routes");
    VEC_FOREACH(w, &c->want->routes) {
        struct route route = { 0 };
        if (!ip_parse_prefix(w->destination, &route.dst, &route.prefix))
            return failed(c, -EINVAL, "read route to", w->destination);
        route.dst = ip_network(&route.dst, route.prefix);
        if (!ip_parse(w->nexthop, &route.via)) {
            /* A link's name: what lies on it directly. */
            route.index = (int)if_nametoindex(w->nexthop);
            if (!route.index)
                return failed(c, -EINVAL, "read next hop", w->nexthop);
        }
        vec_push(c->a, &want, route);
    }
    VEC_FOREACH(h, &have) {
        bool keep = false;
        VEC_FOREACH(w, &want)
            keep |= route_same(h, w);
        if (!keep)
            (void)did(c, route_delete(c->nl, h), "remove", "route");
    }
    VEC_FOREACH(w, &want) {
        bool there = false;
        VEC_FOREACH(h, &have)
            there |= route_same(h, w);
        char text[IP_TEXT_SIZE];
        /* One next hop out of reach must not cost the others. */
        if (!there && (r = did(c, route_add(c->nl, w), "add route to", ip_text(&w->dst, text))) < 0)
            worst = r;
    }
    return worst;
}

static int make_inside(void *arg)
{
    struct inner_call *c = arg;
    _cleanup_(netlink_closep) struct netlink *nl = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    if (!a)
        return -ENOMEM;
    int r = netlink_open(NETLINK_ROUTE, &nl);
    if (r < 0)
        return r;
    c->nl = nl;
    c->a = a;
    struct links links;
    r = switches(c);
    if (r == 0 && (r = links_list(nl, a, &links)) < 0)
        failed(c, r, "list", "links");
    if (r < 0)
        return r;
    const struct link *lo = links_find(&links, "lo");
    if (lo && !(lo->flags & IFF_UP))
        r = did(c, link_change(nl, lo->index, &(struct link_change){ .up = 1, .master = LINK_KEEP }),
                "set up", "lo");
    if (lo && r == 0)
        r = addresses_make(c, lo, &(struct strv){ 0 }, &c->want->lo, false);
    VEC_FOREACH(w, &c->want->links) {
        const struct link *l = links_find(&links, w->name);
        if (r < 0)
            break;
        if (!l)
            return failed(c, -ENODEV, "find", w->name);
        uint8_t mac[ETH_ALEN];
        if (mac_parse(w->mac, mac) && memcmp(mac, l->mac, ETH_ALEN) != 0) {
            const struct link_change change = { .up = LINK_KEEP, .master = LINK_KEEP, .mac = mac };
            if ((r = did(c, link_change(nl, l->index, &change), "give MAC to", w->name)) < 0)
                return r;
        }
        bool fresh = !(l->flags & IFF_UP);
        r = link_switches(c, w->name);
        if (r == 0 && (fresh || (w->mtu && l->mtu != w->mtu))) {
            const struct link_change change = { .up = 1, .master = LINK_KEEP, .mtu = w->mtu };
            r = did(c, link_change(nl, l->index, &change), "set up", w->name);
        }
        if (r == 0)
            r = addresses_make(c, l, &w->cidrs, &w->hosts, w->announce);
    }
    if (r == 0)
        r = routes_make(c);
    return r < 0 ? r : c->changes;
}

int inner_make(int netns, const struct inner *want, char *error, size_t size)
{
    struct inner_call c = { .want = want, .error = error, .size = size };
    error[0] = 0;
    int r = netns_call(netns, make_inside, &c);
    if (r < 0 && !error[0])
        snprintf(error, size, "The namespace could not be set up: %s.", strerrordesc_np(-r));
    return r;
}

/* Addresses, routes, neighbours and forwarding entries; see netlink.h. */
#include "host/net/netlink.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

static struct ip ip_attr(int family, const struct nlattr *at)
{
    struct ip ip = { 0 };
    if (at && nla_len(at) == (int)ip_size(family)) {
        ip.family = family;
        memcpy(ip.bytes, nla_data(at), ip_size(family));
    }
    return ip;
}

static void put_ip(struct nl_msg *msg, int type, const struct ip *ip)
{
    nla_put(msg, type, (int)ip_size(ip->family), ip->bytes);
}

struct listing {
    struct arena *a;
    void *out;
    int index;
};

static struct nl_msg *message(int type, int flags, const void *head, size_t size)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
    if (msg && nlmsg_append(msg, (void *)(uintptr_t)head, size, NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

static int on_address(void *arg, const struct nlmsghdr *h)
{
    struct listing *ls = arg;
    struct nlattr *tb[IFA_MAX + 1];
    const struct ifaddrmsg *ifa = nlmsg_data(h);
    if (h->nlmsg_type != RTM_NEWADDR || (ls->index && (int)ifa->ifa_index != ls->index))
        return 0;
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*ifa), tb, IFA_MAX, NULL) < 0)
        return -EBADMSG;
    struct address ad = {
        .index = (int)ifa->ifa_index,
        .ip = ip_attr(ifa->ifa_family, tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS]),
        .prefix = ifa->ifa_prefixlen,
        .link_local = ifa->ifa_scope == RT_SCOPE_LINK,
    };
    return vec_push(ls->a, (addresses *)ls->out, ad) ? 0 : -ENOMEM;
}

int addresses_list(struct netlink *n, int index, struct arena *a, addresses *ret)
{
    *ret = (addresses){ 0 };
    struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC };
    struct listing ls = { a, ret, index };
    return netlink_dump(n, message(RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa)), on_address, &ls);
}

static struct nl_msg *address_message(int type, int flags, int index, const struct ip *ip, int prefix)
{
    struct ifaddrmsg ifa = {
        .ifa_family = (uint8_t)ip->family,
        .ifa_prefixlen = (uint8_t)prefix,
        .ifa_index = (unsigned)index,
        .ifa_flags = ip->family == AF_INET6 ? IFA_F_NODAD : 0,
    };
    struct nl_msg *msg = message(type, flags, &ifa, sizeof(ifa));
    if (!msg)
        return NULL;
    put_ip(msg, IFA_LOCAL, ip);
    put_ip(msg, IFA_ADDRESS, ip);
    if (ip->family == AF_INET && prefix < 31 && type == RTM_NEWADDR) {
        struct ip brd = *ip;
        for (int i = 0; i < 4; i++) {
            int bits = prefix - i * 8;
            brd.bytes[i] |= bits >= 8 ? 0 : bits <= 0 ? 0xff : (uint8_t)(0xff >> bits);
        }
        put_ip(msg, IFA_BROADCAST, &brd);
    }
    return msg;
}

int address_add(struct netlink *n, int index, const struct ip *ip, int prefix)
{
    return netlink_call(n, address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, ip, prefix));
}

int address_delete(struct netlink *n, int index, const struct ip *ip, int prefix)
{
    return netlink_call(n, address_message(RTM_DELADDR, 0, index, ip, prefix));
}

static int on_route(void *arg, const struct nlmsghdr *h)
{
    struct listing *ls = arg;
    struct nlattr *tb[RTA_MAX + 1];
    const struct rtmsg *rt = nlmsg_data(h);
    if (h->nlmsg_type != RTM_NEWROUTE || rt->rtm_protocol != RTPROT_STATIC ||
        rt->rtm_table != RT_TABLE_MAIN || rt->rtm_type != RTN_UNICAST)
        return 0;
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*rt), tb, RTA_MAX, NULL) < 0)
        return -EBADMSG;
    struct route r = {
        .dst = ip_attr(rt->rtm_family, tb[RTA_DST]),
        .prefix = rt->rtm_dst_len,
        .via = ip_attr(rt->rtm_family, tb[RTA_GATEWAY]),
        .index = tb[RTA_OIF] ? (int)nla_get_u32(tb[RTA_OIF]) : 0,
    };
    r.dst.family = rt->rtm_family;
    return vec_push(ls->a, (routes *)ls->out, r) ? 0 : -ENOMEM;
}

int routes_list(struct netlink *n, struct arena *a, routes *ret)
{
    *ret = (routes){ 0 };
    struct listing ls = { a, ret, 0 };
    for (int family = AF_INET;; family = AF_INET6) {
        struct rtmsg rt = { .rtm_family = (uint8_t)family };
        int r = netlink_dump(n, message(RTM_GETROUTE, NLM_F_DUMP, &rt, sizeof(rt)), on_route, &ls);
        if (r < 0 || family == AF_INET6)
            return r;
    }
}

static struct nl_msg *route_message(int type, int flags, const struct route *r)
{
    struct rtmsg rt = {
        .rtm_family = (uint8_t)r->dst.family,
        .rtm_dst_len = (uint8_t)r->prefix,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_type = RTN_UNICAST,
        .rtm_scope = r->via.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
    };
    struct nl_msg *msg = message(type, flags, &rt, sizeof(rt));
    if (!msg)
        return NULL;
    if (r->prefix)
        put_ip(msg, RTA_DST, &r->dst);
    if (r->via.family)
        put_ip(msg, RTA_GATEWAY, &r->via);
    if (r->index)
        nla_put_u32(msg, RTA_OIF, (uint32_t)r->index);
    return msg;
}

int route_add(struct netlink *n, const struct route *r)
{
    return netlink_call(n, route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r));
}

int route_delete(struct netlink *n, const struct route *r)
{
    return netlink_call(n, route_message(RTM_DELROUTE, 0, r));
}

static int on_neighbour(void *arg, const struct nlmsghdr *h)
{
    struct listing *ls = arg;
    struct nlattr *tb[NDA_MAX + 1];
    const struct ndmsg *nd = nlmsg_data(h);
    if (h->nlmsg_type != RTM_NEWNEIGH)
        return 0;
    /* Entries that a bridge makes for its own ports' addresses are permanent and local:
     * NTF_SELF or NTF_MASTER tell ours only together with static. */
    if (nd->ndm_family == AF_BRIDGE ? !(nd->ndm_state & (NUD_PERMANENT | NUD_NOARP))
                                    : !(nd->ndm_state & NUD_PERMANENT))
        return 0;
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*nd), tb, NDA_MAX, NULL) < 0)
        return -EBADMSG;
    struct neighbour e = { .index = nd->ndm_ifindex };
    if (tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == ETH_ALEN)
        nla_memcpy(e.mac, tb[NDA_LLADDR], ETH_ALEN);
    if (nd->ndm_family != AF_BRIDGE)
        e.ip = ip_attr(nd->ndm_family, tb[NDA_DST]);
    else if (tb[NDA_DST])
        e.host = ip_attr(nla_len(tb[NDA_DST]) == 4 ? AF_INET : AF_INET6, tb[NDA_DST]);
    if (nd->ndm_family == AF_BRIDGE && !e.host.family) {
        e.master = tb[NDA_MASTER] != NULL;
        if (!(nd->ndm_state & NUD_NOARP)) /* the port's own address */
            return 0;
    }
    return vec_push(ls->a, (neighbours *)ls->out, e) ? 0 : -ENOMEM;
}

static int neighbours_dump(struct netlink *n, int family, struct arena *a, neighbours *ret)
{
    struct listing ls = { a, ret, 0 };
    struct ndmsg nd = { .ndm_family = (uint8_t)family };
    return netlink_dump(n, message(RTM_GETNEIGH, NLM_F_DUMP, &nd, sizeof(nd)), on_neighbour, &ls);
}

int neighbours_list(struct netlink *n, struct arena *a, neighbours *ret)
{
    *ret = (neighbours){ 0 };
    int r = neighbours_dump(n, AF_INET, a, ret);
    return r < 0 ? r : neighbours_dump(n, AF_INET6, a, ret);
}

int forwarding_list(struct netlink *n, struct arena *a, neighbours *ret)
{
    *ret = (neighbours){ 0 };
    return neighbours_dump(n, AF_BRIDGE, a, ret);
}

static struct nl_msg *neighbour_message(int type, int flags, const struct neighbour *e)
{
    struct ndmsg nd = { .ndm_ifindex = e->index };
    if (e->ip.family) {
        nd.ndm_family = (uint8_t)e->ip.family;
        nd.ndm_state = NUD_PERMANENT;
    } else {
        nd.ndm_family = AF_BRIDGE;
        nd.ndm_state = NUD_NOARP; /* static */
        nd.ndm_flags = e->master ? NTF_MASTER : NTF_SELF;
        if (!e->master)
            nd.ndm_state |= NUD_PERMANENT;
    }
    struct nl_msg *msg = message(type, flags, &nd, sizeof(nd));
    if (!msg)
        return NULL;
    nla_put(msg, NDA_LLADDR, ETH_ALEN, e->mac);
    if (e->ip.family)
        put_ip(msg, NDA_DST, &e->ip);
    else if (e->host.family)
        put_ip(msg, NDA_DST, &e->host);
    return msg;
}

int neighbour_add(struct netlink *n, const struct neighbour *e, bool append)
{
    return netlink_call(
        n, neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | (append ? NLM_F_APPEND : NLM_F_REPLACE), e));
}

int neighbour_delete(struct netlink *n, const struct neighbour *e)
{
    return netlink_call(n, neighbour_message(RTM_DELNEIGH, 0, e));
}

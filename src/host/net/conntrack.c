/* The connection table; see conntrack.h. */
#include "host/net/conntrack.h"

#include "host/net/netlink.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>

/* An entry to delete: its attributes as listed. */
struct doomed {
    struct doomed *next;
    uint8_t family;
    size_t tuple_size, id_size, zone_size;
    unsigned char data[]; /* tuple, id, zone */
};

struct walk {
    bool (*keep)(void *arg, const struct flow *f);
    void *arg;
    struct doomed *doomed;
};

static bool parse_tuple(const struct nlattr *at, int family, struct ip *src, struct ip *dst, uint16_t *sport,
                        uint16_t *dport, struct flow *f)
{
    struct nlattr *tb[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1], *proto[CTA_PROTO_MAX + 1];
    if (!at || nla_parse_nested(tb, CTA_TUPLE_MAX, (struct nlattr *)(uintptr_t)at, NULL) < 0 ||
        !tb[CTA_TUPLE_IP] || !tb[CTA_TUPLE_PROTO] ||
        nla_parse_nested(ip, CTA_IP_MAX, tb[CTA_TUPLE_IP], NULL) < 0 ||
        nla_parse_nested(proto, CTA_PROTO_MAX, tb[CTA_TUPLE_PROTO], NULL) < 0)
        return false;
    const struct nlattr *s = ip[family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC];
    const struct nlattr *d = ip[family == AF_INET ? CTA_IP_V4_DST : CTA_IP_V6_DST];
    if (!s || !d || !proto[CTA_PROTO_NUM])
        return false;
    src->family = dst->family = family;
    nla_memcpy(src->bytes, s, (int)ip_size(family));
    nla_memcpy(dst->bytes, d, (int)ip_size(family));
    f->protocol = nla_get_u8(proto[CTA_PROTO_NUM]);
    const struct nlattr *type = proto[family == AF_INET ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE];
    const struct nlattr *code = proto[family == AF_INET ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE];
    if (type && code) {
        f->icmp = true;
        *sport = nla_get_u8(type);
        *dport = nla_get_u8(code);
    } else {
        *sport = proto[CTA_PROTO_SRC_PORT] ? ntohs(nla_get_u16(proto[CTA_PROTO_SRC_PORT])) : 0;
        *dport = proto[CTA_PROTO_DST_PORT] ? ntohs(nla_get_u16(proto[CTA_PROTO_DST_PORT])) : 0;
    }
    return true;
}

static void copy_attr(struct doomed *d, size_t *at, const struct nlattr *a, size_t *size)
{
    *size = a ? (size_t)nla_len(a) : 0;
    if (a)
        memcpy(d->data + *at, nla_data(a), *size);
    *at += *size;
}

static int on_entry(void *arg, const struct nlmsghdr *h)
{
    struct walk *w = arg;
    struct nlattr *tb[CTA_MAX + 1];
    const struct nfgenmsg *g = nlmsg_data(h);
    if ((h->nlmsg_type & 0xff) != IPCTNL_MSG_CT_NEW)
        return 0;
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*g), tb, CTA_MAX, NULL) < 0)
        return -EBADMSG;
    struct flow f = { .family = g->nfgen_family };
    if ((f.family != AF_INET && f.family != AF_INET6) ||
        !parse_tuple(tb[CTA_TUPLE_REPLY], f.family, &f.reply_src, &f.reply_dst, &f.reply_sport,
                     &f.reply_dport, &f) ||
        !parse_tuple(tb[CTA_TUPLE_ORIG], f.family, &f.src, &f.dst, &f.sport, &f.dport, &f))
        return 0;
    f.zone = tb[CTA_ZONE] ? ntohs(nla_get_u16(tb[CTA_ZONE])) : 0;
    if (w->keep(w->arg, &f))
        return 0;
    size_t size = (size_t)nla_len(tb[CTA_TUPLE_ORIG]) + (tb[CTA_ID] ? (size_t)nla_len(tb[CTA_ID]) : 0) +
                  (tb[CTA_ZONE] ? (size_t)nla_len(tb[CTA_ZONE]) : 0);
    struct doomed *d = calloc(1, sizeof(*d) + size);
    if (!d)
        return -ENOMEM;
    size_t at = 0;
    d->family = g->nfgen_family;
    copy_attr(d, &at, tb[CTA_TUPLE_ORIG], &d->tuple_size);
    copy_attr(d, &at, tb[CTA_ID], &d->id_size);
    copy_attr(d, &at, tb[CTA_ZONE], &d->zone_size);
    d->next = w->doomed;
    w->doomed = d;
    return 0;
}

static struct nl_msg *message(int type, int flags, int family)
{
    struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_CTNETLINK << 8 | type, NLM_F_REQUEST | flags);
    struct nfgenmsg g = { .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 };
    if (msg && nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

int conntrack_prune(bool (*keep)(void *arg, const struct flow *f), void *arg)
{
    struct walk w = { keep, arg, NULL };
    _cleanup_(netlink_closep) struct netlink *n = NULL;
    int r = netlink_open(NETLINK_NETFILTER, &n), count = 0;
    if (r < 0)
        return r;
    r = netlink_dump(n, message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC), on_entry, &w);
    while (w.doomed) {
        struct doomed *d = w.doomed;
        w.doomed = d->next;
        struct nl_msg *msg = r < 0 ? NULL : message(IPCTNL_MSG_CT_DELETE, 0, d->family);
        if (msg) {
            nla_put(msg, CTA_TUPLE_ORIG | NLA_F_NESTED, (int)d->tuple_size, d->data);
            if (d->id_size)
                nla_put(msg, CTA_ID, (int)d->id_size, d->data + d->tuple_size);
            if (d->zone_size)
                nla_put(msg, CTA_ZONE, (int)d->zone_size, d->data + d->tuple_size + d->id_size);
            int one = netlink_call(n, msg);
            if (one == 0)
                count++;
            else if (one != -ENOENT) /* it may have ended by itself */
                r = one;
        }
        free(d);
    }
    return r < 0 ? r : count;
}

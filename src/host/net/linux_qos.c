/*
 * Limits of bandwidth on ports.
 *
 * What goes to the guest is shaped by a token bucket on its tap. What comes from it arrives
 * at the tap, where nothing can be queued: it is redirected to an ifb device and shaped on
 * the way out of that. The guest's own view decides the names: egress is what it sends.
 */
#include "host/net/linux.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>

struct bucket {
    uint64_t rate;  /* bytes a second; 0: none */
    uint32_t burst; /* bytes */
};

/* The kernel counts a bucket's depth in time; these are its units. */
static uint32_t ticks(uint64_t bytes, uint64_t rate)
{
    return (uint32_t)MIN(bytes * 1000000000u / rate >> 6, (uint64_t)UINT32_MAX);
}

static struct nl_msg *tc_message(int type, int flags, int index, uint32_t parent, uint32_t handle,
                                 uint32_t info, const char *kind)
{
    struct tcmsg tc = { .tcm_family = AF_UNSPEC,
                        .tcm_ifindex = index,
                        .tcm_parent = parent,
                        .tcm_handle = handle,
                        .tcm_info = info };
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
    if (!msg || nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    if (kind)
        nla_put_string(msg, TCA_KIND, kind);
    return msg;
}

static int on_qdisc(void *arg, const struct nlmsghdr *h)
{
    struct pass *p = arg;
    struct nlattr *tb[TCA_MAX + 1], *opt[TCA_TBF_MAX + 1];
    const struct tcmsg *tc = nlmsg_data(h);
    if (h->nlmsg_type != RTM_NEWQDISC ||
        nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*tc), tb, TCA_MAX, NULL) < 0 || !tb[TCA_KIND])
        return 0;
    const char *kind = nla_get_string(tb[TCA_KIND]);
    struct shaper found = { .index = tc->tcm_ifindex, .redirected = STREQ(kind, "ingress") };
    if (STREQ(kind, "tbf") && tb[TCA_OPTIONS] &&
        nla_parse_nested(opt, TCA_TBF_MAX, tb[TCA_OPTIONS], NULL) == 0 && opt[TCA_TBF_PARMS]) {
        struct tc_tbf_qopt q;
        nla_memcpy(&q, opt[TCA_TBF_PARMS], sizeof(q));
        found.rate = opt[TCA_TBF_RATE64] ? nla_get_u64(opt[TCA_TBF_RATE64]) : q.rate.rate;
    }
    if (!found.redirected && !found.rate)
        return 0;
    return vec_push(p->a, &p->shapers, found) ? 0 : -ENOMEM;
}

int shapers_list(struct pass *p)
{
    struct tcmsg tc = { .tcm_family = AF_UNSPEC };
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP);
    if (!msg || nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return -ENOMEM;
    }
    return netlink_dump(p->d->route, msg, on_qdisc, p);
}

/* What a device has now; all zero without anything of ours. */
static struct shaper shaper_of(const struct pass *p, int index)
{
    struct shaper all = { .index = index };
    VEC_FOREACH(s, &p->shapers)
        if (s->index == index) {
            all.redirected |= s->redirected;
            all.rate = s->rate ? s->rate : all.rate;
        }
    return all;
}

/* The token bucket at the root of a device; 1 when something was changed. */
static int bucket_make(struct pass *p, int index, const struct bucket *b)
{
    struct netlink *nl = p->d->route;
    int r;
    if (shaper_of(p, index).rate == b->rate)
        return 0;
    if (!b->rate) {
        r = netlink_call(nl, tc_message(RTM_DELQDISC, 0, index, TC_H_ROOT, 0, 0, "tbf"));
        return r < 0 ? r : 1;
    }
    struct nl_msg *msg =
        tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, TC_H_ROOT, 0x10000, 0, "tbf");
    if (!msg)
        return -ENOMEM;
    /* At most 50 ms of queue. A bucket must hold the largest frame, which offloading makes
     * as large as 64 KiB. */
    uint64_t burst = MAX((uint64_t)b->burst, 65536 + 64), limit = burst + b->rate / 20;
    struct tc_tbf_qopt q = {
        .rate = { .rate = (uint32_t)MIN(b->rate, (uint64_t)UINT32_MAX), .linklayer = TC_LINKLAYER_ETHERNET },
        .limit = (uint32_t)MIN(limit, (uint64_t)UINT32_MAX),
        .buffer = ticks(burst, b->rate),
    };
    struct nlattr *opt = nla_nest_start(msg, TCA_OPTIONS);
    nla_put(msg, TCA_TBF_PARMS, sizeof(q), &q);
    nla_put_u32(msg, TCA_TBF_BURST, (uint32_t)burst);
    if (b->rate > UINT32_MAX)
        nla_put_u64(msg, TCA_TBF_RATE64, b->rate);
    nla_nest_end(msg, opt);
    r = netlink_call(nl, msg);
    return r < 0 ? r : 1;
}

/* Everything that arrives at 'index' leaves through 'to'. */
static int redirect_make(struct pass *p, int index, int to)
{
    struct netlink *nl = p->d->route;
    int r;
    if (shaper_of(p, index).redirected)
        return 0;
    r = netlink_call(nl,
                     tc_message(RTM_NEWQDISC, NLM_F_CREATE, index, TC_H_INGRESS, 0xffff0000, 0, "ingress"));
    if (r < 0)
        return r;
    struct nl_msg *msg = tc_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, index, 0xffff0000, 0,
                                    TC_H_MAKE(1 << 16, htons(ETH_P_ALL)), "u32");
    if (!msg)
        return -ENOMEM;
    /* One key that compares nothing: all packets. */
    union {
        struct tc_u32_sel head;
        uint8_t bytes[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)];
    } sel = { .bytes = { 0 } };
    sel.head.flags = TC_U32_TERMINAL;
    sel.head.nkeys = 1;
    const struct tc_mirred mirred = { .action = TC_ACT_STOLEN,
                                      .eaction = TCA_EGRESS_REDIR,
                                      .ifindex = (uint32_t)to };
    struct nlattr *opt = nla_nest_start(msg, TCA_OPTIONS);
    nla_put(msg, TCA_U32_SEL, sizeof(sel.bytes), &sel);
    struct nlattr *acts = nla_nest_start(msg, TCA_U32_ACT), *one = nla_nest_start(msg, 1);
    nla_put_string(msg, TCA_ACT_KIND, "mirred");
    struct nlattr *inner = nla_nest_start(msg, TCA_ACT_OPTIONS);
    nla_put(msg, TCA_MIRRED_PARMS, sizeof(mirred), (void *)(uintptr_t)&mirred);
    nla_nest_end(msg, inner);
    nla_nest_end(msg, one);
    nla_nest_end(msg, acts);
    nla_nest_end(msg, opt);
    r = netlink_call(nl, msg);
    if (r < 0) {
        (void)netlink_call(nl, tc_message(RTM_DELQDISC, 0, index, TC_H_INGRESS, 0xffff0000, 0, "ingress"));
        return r;
    }
    return 1;
}

static struct bucket bucket(int64_t kbps, int64_t kbits)
{
    if (kbps <= 0)
        return (struct bucket){ 0 };
    /* Neutron's default for no burst: four fifths of a second's traffic. */
    int64_t burst = kbits > 0 ? kbits : kbps * 8 / 10;
    return (struct bucket){ (uint64_t)kbps * 125, (uint32_t)MIN(burst, (int64_t)1 << 24) * 125 };
}

void port_shape(struct pass *p, struct pass_port *port)
{
    char name[NET_NAME_SIZE];
    struct netlink *nl = p->d->route;
    struct bucket in = { 0 }, out = { 0 };
    VEC_FOREACH(q, &p->want->qos_policies)
        if (!str_empty(port->spec->qos_policy_id) && str_eq(q->id, port->spec->qos_policy_id)) {
            in = bucket(q->ingress_kbps, q->ingress_burst_kbits);
            out = bucket(q->egress_kbps, q->egress_burst_kbits);
        }
    const char **reason = &port->seen.reason;
    int r = bucket_make(p, port->index, &in);
    if (r != 0)
        pass_did(p, r, "shaped", port->device, reason, nl);
    if (!out.rate) {
        if (shaper_of(p, port->index).redirected)
            pass_did(p,
                     netlink_call(nl, tc_message(RTM_DELQDISC, 0, port->index, TC_H_INGRESS, 0xffff0000, 0,
                                                 "ingress")),
                     "unshaped", port->device, reason, nl);
        return;
    }
    const struct link *ifb = links_find(&p->links, net_device_name("yq", port->spec->id, name));
    if (!ifb) {
        const struct link_new new = { .name = name, .kind = "ifb" };
        r = pass_did(p, link_add(nl, &new), "made shaper", name, reason, nl);
        if (r < 0 || link_get(nl, p->a, name, &ifb) < 0)
            return;
    }
    if (!(ifb->flags & IFF_UP)) {
        r = pass_did(p, link_change(nl, ifb->index, &(struct link_change){ .up = 1, .master = LINK_KEEP }),
                     "set up", name, reason, nl);
        if (r < 0)
            return;
    }
    r = bucket_make(p, ifb->index, &out);
    if (r != 0 && pass_did(p, r, "shaped", name, reason, nl) < 0)
        return;
    r = redirect_make(p, port->index, ifb->index);
    if (r != 0)
        pass_did(p, r, "redirected", port->device, reason, nl);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * braid/transport.h: links move messages between an edge and a cloud. They know tensors' bytes, not graphs. A link
 * belongs to the one thread that uses it (the I/O thread); it starts no thread of its own (libzmq does).
 */
#ifndef BRAID_TRANSPORT_H
#define BRAID_TRANSPORT_H

#include "braid/base.h"

#pragma GCC visibility push(default)
BRAID_BEGIN_DECLS

/* ------------------------------------------------------------------------------------------- messages
 * The wire format, byte by byte, is in docs/wire.md. A message is a fixed little-endian header and a payload. */
#define BRAID_WIRE_VERSION 4
#define BRAID_WIRE_HEADER_BYTES 64

enum braid_msg_type {
  BRAID_MSG_HELLO = 1, /* edge -> cloud: node=worker count; payload JSON {model,hash,...} */
  BRAID_MSG_WELCOME,   /* cloud -> edge: node=worker count; payload: profile JSON of the model on the cloud */
  BRAID_MSG_REFUSE,    /* either way: begin = enum braid_status, payload: text for people */
  BRAID_MSG_PLAN,      /* edge -> cloud: epoch, begin = window (frames in flight), payload: plan JSON */
  BRAID_MSG_PLAN_OK,   /* cloud -> edge: epoch */
  BRAID_MSG_DATA,      /* both: epoch, frame, node, rows [begin,end), codec; payload: the rows, packed; stamp_ns = the
                        * number that the edge's caller gave the frame, where the plan delivers in the cloud */
  BRAID_MSG_ACK,       /* both: frame = payload bytes of DATA taken since the last ACK (credit given back); end = 1: some of
                        * them had to wait for an arena; node, begin as in PONG */
  BRAID_MSG_PING,      /* both: stamp_ns = sender's clock; payload ignored; begin = payload bytes wanted in the PONG */
  BRAID_MSG_PONG,      /* both: stamp_ns copied from the PING; frame = answerer's clock, ns; node = kbit/s at which its own
                        * DATA gets through; begin = its load, thousandths; end = share of its workers' time that is
                        * taken, thousandths, at least 1; 0: not known */
  BRAID_MSG_BYE,       /* both: no more messages follow */
  BRAID_MSG_RETIRE,    /* edge -> cloud: epoch, whose last frame has ended: it may be freed */
  BRAID_MSG_DRAIN,      /* cloud -> edge: it is about to stop: no new frames; BYE when those in flight are over */
  BRAID_MSG_ASK,        /* anybody -> cloud, without a session: stamp_ns; how busy is it? */
  BRAID_MSG_STATE,      /* cloud -> whoever asked: stamp_ns copied, node = sessions, begin = load, thousandths; end = 1: it
                         * takes another session */
  /* Between a broker and the clouds behind it, its workers; `session` of these and of all others there is the broker's number
   * of an edge. */
  BRAID_MSG_JOIN, /* worker -> broker: here I am; STATE follows every heartbeat */
  BRAID_MSG_MEET, /* broker -> worker: a new edge; payload: its name, a newline, its address */
  BRAID_MSG_GONE, /* both: the edge has gone, or is to go */
  /* A model that the cloud does not have. */
  BRAID_MSG_WANT = 19,  /* cloud -> edge: frame = bytes of the file it has, begin = how many it takes beyond them */
  BRAID_MSG_MODEL = 20, /* edge -> cloud: frame = offset; payload: the file from there on */
  BRAID_MSG_DELIVERED = 21, /* cloud -> edge: epoch, frame, whose results are with their consumer there */
  BRAID_MSG_TYPE_END
};

#define BRAID_LOAD_MAX (1 << 20) /* thousandths */
#define BRAID_MODEL_PART_MIN (4 << 10) /* bytes of a MODEL; only the last of a file may be shorter */
#define BRAID_MODEL_PART_MAX (256 << 10)

enum braid_codec { BRAID_CODEC_RAW };

struct braid_msg {
  enum braid_msg_type type;
  uint32_t epoch;
  uint64_t frame;
  int64_t stamp_ns;
  uint64_t session; /* between broker and worker: whose message; 0 elsewhere */
  uint32_t node, begin, end;
  enum braid_codec codec;
  /* Owned by the message and made by braid_msg_init or received, nothing else; of a received one: any alignment, and it may
   * outlive the link. */
  uint8_t *payload;
  size_t payload_bytes;
  void *owner; /* private to transport */
};

/* An empty message of that type with `payload_bytes` of uninitialised payload. */
BRAID_NODISCARD enum braid_status braid_msg_init(struct braid_msg *msg, enum braid_msg_type type,
                                                 size_t payload_bytes);
void braid_msg_release(struct braid_msg *msg); /* frees the payload, zeroes *msg; fine on a zeroed one */

void braid_wire_encode_header(const struct braid_msg *msg, uint8_t out[BRAID_WIRE_HEADER_BYTES]);
/* Pure: the fuzz target. Checks magic, version, type, ranges and that payload_bytes <= max_payload_bytes; fills all of *msg
 * but the payload. BRAID_EPROTO with a reason. */
BRAID_NODISCARD enum braid_status braid_wire_decode_header(const uint8_t *src, size_t size,
                                                           size_t max_payload_bytes, struct braid_msg *msg);

/* ----------------------------------------------------------------------------------------------- keys
 * Who may talk to whom, as files in one folder (docs/security.md):
 *   cloud.key cloud.pub   the cloud's pair; edges need cloud.pub alone
 *   edges/NAME.key .pub   an edge's pair
 *   allowed               whom the cloud lets in: lines of NAME and public key; read again whenever it changes
 * Keys are Curve25519 keys as text (Z85, ZeroMQ RFC 32). Secret files are made with mode 0600 and refused when others may
 * read them. Nothing is ever overwritten. */
#define BRAID_KEY_BYTES 41      /* 40 characters and the NUL */
#define BRAID_KEY_NAME_BYTES 64 /* names of edges: letters, digits, '-', '_' and '.', at most 63 */

struct braid_link_keys {
  char public_key[BRAID_KEY_BYTES], secret_key[BRAID_KEY_BYTES]; /* own */
  char server_key[BRAID_KEY_BYTES];                              /* connecting: the listener's public key */
  char *allowed;                                                 /* listening: path of the list; owned */
};

/* *made: false where the pair was there already (it is left as it is). An edge's new public key is appended to
 * DIR/allowed. */
BRAID_NODISCARD enum braid_status braid_keys_make_cloud(const char *dir, bool *made);
BRAID_NODISCARD enum braid_status braid_keys_make_edge(const char *dir, const char *name, bool *made);
/* What `braid cloud` and `braid edge` need from DIR. `name` NULL: the only edges/NAME.key there is. On failure nothing is left in
 * *keys. */
BRAID_NODISCARD enum braid_status braid_keys_read_cloud(const char *dir, struct braid_link_keys *keys);
BRAID_NODISCARD enum braid_status braid_keys_read_edge(const char *dir, const char *name, struct braid_link_keys *keys);
void braid_keys_wipe(struct braid_link_keys *keys); /* overwrites the secret; fine on a zeroed or wiped one */

/* ---------------------------------------------------------------------------------------------- links */

struct braid_link;

/* Who a message came from / goes to, on a listening link; 0 on a connecting one. Never reused within a link. */
typedef uint64_t braid_peer;

struct braid_link_opts {
  bool listen;
  size_t max_payload_bytes; /* refuse larger messages before allocating; 0: 64 MiB */
  /* tcp: CURVE with these keys; the other side must have its own. NULL: in the clear. Not used after opening (libzmq keeps
   * copies of its own while the link is open). */
  const struct braid_link_keys *keys;
  bool allow_clear; /* listening without keys on an address that other machines can reach: BRAID_EINVAL unless set */
};

/* URIs: "tcp://host:port" (ZeroMQ DEALER connects, ROUTER listens; port 0 or "*" picks a free one), "inproc://name" (same
 * process, no copies, no libzmq), and, to listen by joining a broker, "join+" before either: its edges are this link's
 * peers; when the broker goes they go, and the link joins it again as soon as it is there. A port that is taken, a host that does not resolve, a malformed URI: an error that
 * names it (BRAID_EBUSY, BRAID_ENOTFOUND, BRAID_EINVAL). Connecting succeeds before the peer is there; once it is there, losing it
 * ends the link (see recv): whoever starts a new session opens a new link. */
BRAID_NODISCARD enum braid_status braid_link_open(const char *uri, const struct braid_link_opts *opts,
                                                  struct braid_link **out);
void braid_link_close(struct braid_link **link);
/* The address really bound, e.g. "tcp://127.0.0.1:43211". Borrowed. */
const char *braid_link_address(const struct braid_link *link);
/* Never blocks. BRAID_OK: the link owns the payload and *msg is zeroed; else the caller still owns it: BRAID_EBUSY (queue
 * full), BRAID_ECLOSED (no such peer any more), BRAID_EINVAL (over max_payload_bytes). */
BRAID_NODISCARD enum braid_status braid_link_send(struct braid_link *link, braid_peer peer, struct braid_msg *msg);
/* Never blocks. Everything that arrived comes before the news that its sender has gone.
 * BRAID_OK: *msg filled, release it. BRAID_ETIMEDOUT: nothing there.
 * BRAID_EPROTO: a malformed message from *peer was dropped; with *peer 0: somebody was turned away before becoming a
 * peer, braid_error() tells who and why.
 * BRAID_ECLOSED: *peer has gone (listening: once for every peer), or the connection has ended for good (connecting: from then
 * on); braid_error() tells why: connection lost, refused by the allow-list, wrong server key, ... Over tcp this is noticed
 * in braid_link_wait, and tells of peers whose kernel said so: one that fell silent is found by heartbeats. */
BRAID_NODISCARD enum braid_status braid_link_recv(struct braid_link *link, braid_peer *peer, struct braid_msg *msg);
/* Sleeps until a message can be received, `wake_fd` (an eventfd; -1 for none) is readable, or timeout_ns has passed (< 0: no
 * limit). Spurious returns are allowed. Does not read wake_fd. Over tcp this is where new
 * peers are let in and others cut off: a listening link must come here all the time. */
void braid_link_wait(struct braid_link *link, int wake_fd, int64_t timeout_ns);
/* A descriptor that becomes readable when something may have happened since the last recv that found nothing: for a thread that
 * serves two links, as part of the other's wake_fd. Then: wait with timeout 0, and recv. The link's; -1: cannot be had. */
int braid_link_poll_fd(struct braid_link *link);
/* Listening: ends a peer's connection. Nothing more is received from it (nor BRAID_ECLOSED); what was sent to it has half a
 * second to leave. Fine for a peer that has gone. */
void braid_link_drop(struct braid_link *link, braid_peer peer);
/* The name under which a peer's key is allowed; "" without keys or when the peer has gone. Valid until the next recv. */
const char *braid_link_peer_name(const struct braid_link *link, braid_peer peer);
/* The address that a peer comes from, "10.0.0.3", without its port; "" over inproc or when the peer has gone. Valid until the
 * next recv. */
const char *braid_link_peer_address(const struct braid_link *link, braid_peer peer);

/* ------------------------------------------------------------------------------------ link estimation
 * A pure filter over what the traffic shows: acknowledged bytes give the delivery rate (maximum over a sliding window
 * of busy intervals, as in BBR, Cardwell et al., ACM Queue 2016), pings and acks the round trip (minimum over a
 * window). Caller supplies the time. */
struct braid_estimator {
  int64_t rtt_min_ns, rtt_smooth_ns; /* 0: unknown */
  double rate_bits_per_s;            /* 0: unknown */
  size_t in_flight_bytes;
  /* private */
  int64_t busy_since_ns, last_ack_ns, rtt_min_at_ns;
  size_t busy_acked_bytes, least_in_flight_bytes;
  bool acks_seen;
  int64_t probe_since_ns, probe_min_ns;
  int probe_count;
  double rate_samples[8];
  int64_t rate_at_ns[8];
  int n_samples;
};
void braid_estimator_init(struct braid_estimator *e);
void braid_estimator_sent(struct braid_estimator *e, size_t bytes, int64_t now_ns);
void braid_estimator_acked(struct braid_estimator *e, size_t bytes, int64_t now_ns);
void braid_estimator_rtt(struct braid_estimator *e, int64_t rtt_ns, int64_t now_ns);
/* How many bytes may be in flight now: a little over rate x rtt, never below two chunks. */
size_t braid_estimator_window_bytes(const struct braid_estimator *e, size_t chunk_bytes);

/* What the link does just now, for whoever chooses plans: bytes over the time that the wire was busy with them. Pure as
 * well; the caller supplies the time and the smallest round trip. */
#define BRAID_PACE_MESSAGES 256
struct braid_pace {
  double bits_per_s;  /* of the newest sample; 0: none yet */
  uint64_t n_samples; /* since the beginning: whoever looks sees that there is a new one */
  /* private */
  struct {
    uint64_t end; /* in the stream of bytes sent */
    int64_t sent_ns;
  } message[BRAID_PACE_MESSAGES]; /* ring: sent and not acknowledged */
  int first, count;
  uint64_t sent_bytes, acked_bytes;
  int64_t free_ns; /* when the wire had nothing more to carry */
  int64_t busy_ns;
  size_t busy_bytes;
};
void braid_pace_init(struct braid_pace *p);
void braid_pace_sent(struct braid_pace *p, size_t bytes, int64_t now_ns);
/* `held`: the receiver kept some of it waiting; its time says nothing about the link. */
void braid_pace_acked(struct braid_pace *p, size_t bytes, int64_t rtt_ns, int64_t now_ns, bool held);
/* A rate that the link does not reach at the moment: something sent is not answered for much longer than it should take.
 * 0: nothing is overdue. */
double braid_pace_overdue(const struct braid_pace *p, int64_t rtt_ns, int64_t now_ns);

/* ------------------------------------------------------------------------------------ clocks of two sites
 * How far another machine's clock is ahead of this one, from questions and answers: what PING asks, PONG says
 * (docs/wire.md). An answer that says `peer` to a question sent at `sent` and back at `back` puts the peer ahead by
 * peer - (sent + back) / 2, wrong by half the round trip at most, whatever the two ways took (Cristian, Distributed
 * Computing 3(3), 1989). Kept is the shortest round trip of each of a row of windows, as NTP's clock filter does. Pure;
 * the caller supplies the time. */
#define BRAID_CLOCK_WINDOWS 64
struct braid_clock_filter {
  uint64_t exchanges;
  /* private */
  int64_t first_ns, window_ns; /* windows grow with time: those kept always cover everything since the first */
  struct {
    int64_t at_ns, offset_ns, rtt_ns; /* rtt_ns 0: nothing in this window */
  } best[BRAID_CLOCK_WINDOWS];
};
/* The peer's clock is at `ns + offset_ns + drift * (ns - at_ns)` when this one is at `ns`. */
struct braid_clock_offset {
  int64_t at_ns, offset_ns;
  double drift; /* 0: a constant, since the exchanges do not show that the clocks drift apart */
  int64_t uncertainty_ns; /* half the shortest round trip; of a line, and what it is away from exchanges at most */
};
void braid_clock_filter_init(struct braid_clock_filter *filter);
/* Exchanges that cannot be (an answer before the question, a clock before 0 or beyond belief) are left out. */
void braid_clock_filter_add(struct braid_clock_filter *filter, int64_t sent_ns, int64_t peer_ns, int64_t back_ns);
/* False: there was no exchange yet. */
bool braid_clock_filter_estimate(const struct braid_clock_filter *filter, struct braid_clock_offset *out);
/* What this machine's clock said when the peer's said `peer_ns`. */
int64_t braid_clock_from_peer(const struct braid_clock_offset *offset, int64_t peer_ns);

/* ------------------------------------------------------------------------------------------- outbox
 * What waits to be sent, most urgent first; what leaves is decided when there is credit, so an urgent item overtakes
 * bulky ones. Holds references (owner, node, band), not bytes: packing happens when an item is taken. Not
 * thread-safe: callers lock. */
struct braid_outbox;
struct braid_send_item {
  uint64_t order; /* smaller first (frame sequence); ties by rank, then band, then insertion */
  int rank;
  void *owner; /* the frame */
  int node;
  struct braid_band band;
  size_t row_bytes; /* bytes per row, to split the band */
};
BRAID_NODISCARD enum braid_status braid_outbox_create(struct braid_outbox **out);
void braid_outbox_destroy(struct braid_outbox **box);
BRAID_NODISCARD enum braid_status braid_outbox_put(struct braid_outbox *box, const struct braid_send_item *item);
/* Takes the most urgent rows, at most max_bytes of them but at least one row; the rest of the item stays. `last`: no rows
 * of this item are left. False when empty. */
bool braid_outbox_take(struct braid_outbox *box, size_t max_bytes, struct braid_send_item *out, bool *last);
/* Drops every item of that owner; returns how many. */
int braid_outbox_cancel(struct braid_outbox *box, const void *owner);
bool braid_outbox_empty(const struct braid_outbox *box);

BRAID_END_DECLS
#pragma GCC visibility pop
#endif

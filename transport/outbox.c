/* SPDX-License-Identifier: Apache-2.0
 * A binary heap of bands that wait to be sent. An item that is taken in part keeps its place with the rows that are
 * left, so urgent items overtake at the granularity of one chunk. */
#include "braid/transport.h"

#include <string.h>

struct entry {
  struct braid_send_item item;
  uint64_t sequence; /* of insertion, the last tie-break: the order is total, so equal input gives an equal order */
};

struct braid_outbox {
  struct entry *heap;
  size_t count, capacity;
  uint64_t next_sequence;
};

static bool before(const struct entry *a, const struct entry *b) {
  if (a->item.order != b->item.order) return a->item.order < b->item.order;
  if (a->item.rank != b->item.rank) return a->item.rank < b->item.rank;
  if (a->item.band.begin != b->item.band.begin) return a->item.band.begin < b->item.band.begin;
  return a->sequence < b->sequence;
}

static void swap(struct entry *a, struct entry *b) {
  struct entry t = *a;
  *a = *b;
  *b = t;
}

static void sift_up(struct braid_outbox *box, size_t at) {
  for (size_t parent; at > 0 && before(&box->heap[at], &box->heap[parent = (at - 1) / 2]); at = parent)
    swap(&box->heap[at], &box->heap[parent]);
}

static void sift_down(struct braid_outbox *box, size_t at) {
  for (;;) {
    size_t least = at, left = 2 * at + 1, right = left + 1;
    if (left < box->count && before(&box->heap[left], &box->heap[least])) least = left;
    if (right < box->count && before(&box->heap[right], &box->heap[least])) least = right;
    if (least == at) return;
    swap(&box->heap[at], &box->heap[least]);
    at = least;
  }
}

enum braid_status braid_outbox_create(struct braid_outbox **out) {
  struct braid_outbox *box = braid_calloc(1, sizeof *box);
  if (!box) return braid_fail(BRAID_ENOMEM, "no memory for an outbox");
  *out = box;
  return BRAID_OK;
}

void braid_outbox_destroy(struct braid_outbox **box) {
  if (!*box) return;
  braid_free((*box)->heap);
  braid_free(*box);
  *box = NULL;
}

static enum braid_status reserve_one(struct braid_outbox *box) {
  if (box->count < box->capacity) return BRAID_OK;
  size_t capacity = box->capacity ? 2 * box->capacity : 64, bytes;
  struct entry *grown = NULL;
  if (braid_mul_size(capacity, sizeof *grown, &bytes)) grown = braid_realloc(box->heap, bytes);
  if (!grown) return braid_fail(BRAID_ENOMEM, "no memory for %zu waiting sends", capacity);
  box->heap = grown;
  box->capacity = capacity;
  return BRAID_OK;
}

enum braid_status braid_outbox_put(struct braid_outbox *box, const struct braid_send_item *item) {
  if (item->band.begin < 0 || item->band.begin >= item->band.end)
    return braid_fail(BRAID_EINVAL, "node %d: rows [%d,%d) are nothing to send", item->node, item->band.begin,
                      item->band.end);
  BRAID_TRY(reserve_one(box));
  box->heap[box->count] = (struct entry){*item, box->next_sequence++};
  sift_up(box, box->count++);
  return BRAID_OK;
}

static int rows_that_fit(const struct braid_send_item *item, size_t max_bytes) {
  int rows = item->band.end - item->band.begin;
  size_t fit = item->row_bytes ? max_bytes / item->row_bytes : (size_t)rows;
  if (fit == 0) return 1;
  return fit < (size_t)rows ? (int)fit : rows;
}

bool braid_outbox_take(struct braid_outbox *box, size_t max_bytes, struct braid_send_item *out, bool *last) {
  if (box->count == 0) return false;
  struct braid_send_item *top = &box->heap[0].item;
  int rows = rows_that_fit(top, max_bytes);
  *out = *top;
  out->band.end = top->band.begin + rows;
  *last = out->band.end == top->band.end;
  if (*last)
    box->heap[0] = box->heap[--box->count];
  else
    top->band.begin += rows;
  sift_down(box, 0);
  return true;
}

int braid_outbox_cancel(struct braid_outbox *box, const void *owner) {
  size_t kept = 0;
  for (size_t i = 0; i < box->count; i++)
    if (box->heap[i].item.owner != owner) box->heap[kept++] = box->heap[i];
  int dropped = (int)(box->count - kept);
  box->count = kept;
  for (size_t i = kept / 2; i-- > 0;) sift_down(box, i);
  return dropped;
}

bool braid_outbox_empty(const struct braid_outbox *box) {
  return box->count == 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * libzmq's I/O thread sends events over inproc and would stand still in front of a full queue, so this end has no mark.
 * Events are few and small: the two or three of a connection's life. */
#include "zmq_watch.h"

#include <string.h>
#include <zmq.h>

static const char address[] = "inproc://watch"; /* every link has a context of its own */

static const struct {
  int event;
  enum zmq_happening what;
} events[] = {
    {ZMQ_EVENT_ACCEPTED, ZMQ_CAME},
    {ZMQ_EVENT_HANDSHAKE_SUCCEEDED, ZMQ_JOINED},
    {ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_TURNED},
    {ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, ZMQ_TURNED},
    {ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, ZMQ_VANISHED},
    {ZMQ_EVENT_DISCONNECTED, ZMQ_LEFT},
};
enum { EVENTS = sizeof events / sizeof *events };

void *zmq_watch_open(void *context, void *socket) {
  int all = 0, no_mark = 0;
  for (int i = 0; i < EVENTS; i++) all |= events[i].event;
  void *watch = NULL;
  if (zmq_socket_monitor(socket, address, all) == 0 && (watch = zmq_socket(context, ZMQ_PAIR)) &&
      zmq_setsockopt(watch, ZMQ_RCVHWM, &no_mark, sizeof no_mark) == 0 && zmq_connect(watch, address) == 0) {
    struct zmq_event none; /* libzmq's descriptor wakes only a reader that has once found nothing */
    if (!zmq_watch_next(watch, &none)) return watch;
  }
  (void)braid_fail(BRAID_EIO, "watching a socket: %s", zmq_strerror(zmq_errno()));
  zmq_watch_close(watch);
  return NULL;
}

void zmq_watch_close(void *watch) {
  if (watch) zmq_close(watch);
}

static bool translate(uint16_t number, uint32_t value, struct zmq_event *event) {
  for (int i = 0; i < EVENTS; i++)
    if (events[i].event == number) {
      *event = (struct zmq_event){events[i].what, (int)value, value};
      return true;
    }
  return false;
}

/* Two parts: event number and value; the endpoint, which is always our own. */
bool zmq_watch_next(void *watch, struct zmq_event *event) {
  for (bool known = false; !known;) {
    uint8_t head[6];
    char endpoint[8];
    int got = zmq_recv(watch, head, sizeof head, ZMQ_DONTWAIT);
    if (got < 0) return false;
    zmq_recv(watch, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    uint16_t number;
    uint32_t value;
    memcpy(&number, head, sizeof number);
    memcpy(&value, head + sizeof number, sizeof value);
    known = got == (int)sizeof head && translate(number, value, event);
  }
  return true;
}

/* SPDX-License-Identifier: Apache-2.0
 * Whole frames are read into one buffer and turned to RGB in another, both made once. YUV is BT.601 in video range,
 * what ffmpeg hands out for most sources. */
#include "video.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE_MAX = 16384, LINE_MAX_BYTES = 1024, LOOK_MS = 200 };

enum pixel { RGB24, BGR24, GRAY8, YUV420P, NV12, PIXELS };
static const char *const pixel_name[PIXELS] = {"rgb24", "bgr24", "gray8", "yuv420p", "nv12"};

struct video {
  int fd;
  char *path, text[48];
  bool has_headers; /* "FRAME" before every frame */
  int width, height;
  enum pixel pixel;
  size_t frame_bytes;
  uint8_t *frame, *rgb;
  int n_frames;
};

/* ----------------------------------------------------------------------------------------------------- reading */

/* *got < n: the stream has ended, or a signal came. */
static enum braid_status read_all(const struct video *v, void *to, size_t n, size_t *got) {
  for (*got = 0; *got < n && !cli_interrupted();) {
    struct pollfd ready = {v->fd, POLLIN, 0};
    if (poll(&ready, 1, LOOK_MS) == 0) continue;
    ssize_t k = read(v->fd, (uint8_t *)to + *got, n - *got);
    if (k == 0) break;
    if (k < 0 && errno != EINTR && errno != EAGAIN) return braid_fail(BRAID_EIO, "%s: %s", v->path, strerror(errno));
    if (k > 0) *got += (size_t)k;
  }
  return BRAID_OK;
}

/* Up to the newline, which is not kept; `line` may begin with what was read before. */
static enum braid_status read_line(const struct video *v, char line[LINE_MAX_BYTES], size_t n) {
  size_t got = 1;
  while (n < LINE_MAX_BYTES - 1 && got == 1) {
    BRAID_TRY(read_all(v, line + n, 1, &got));
    if (got == 1 && line[n++] == '\n') {
      line[n - 1] = '\0';
      return BRAID_OK;
    }
  }
  line[n] = '\0';
  if (got == 0) return braid_fail(BRAID_ENOTFOUND, "%s: the end", v->path);
  return braid_fail(BRAID_EFORMAT, "%s: a YUV4MPEG2 header of more than %d bytes", v->path, LINE_MAX_BYTES);
}

/* ------------------------------------------------------------------------------------------------------ format */

static enum braid_status check_size(struct video *v) {
  bool halves = v->pixel == YUV420P || v->pixel == NV12;
  size_t pixels = (size_t)v->width * (size_t)v->height;
  if (v->width < 1 || v->height < 1 || v->width > SIDE_MAX || v->height > SIDE_MAX)
    return braid_fail(BRAID_EINVAL, "%s: frames of %dx%d; 1 to %d a side", v->path, v->width, v->height, SIDE_MAX);
  if (halves && (v->width % 2 || v->height % 2))
    return braid_fail(BRAID_EINVAL, "%s: %s of %dx%d: both sides must be even", v->path, pixel_name[v->pixel], v->width,
                      v->height);
  v->frame_bytes = v->pixel == GRAY8 ? pixels : halves ? pixels * 3 / 2 : pixels * 3;
  v->frame = braid_malloc(v->frame_bytes);
  v->rgb = braid_malloc(pixels * 3);
  if (!v->frame || !v->rgb) return braid_fail(BRAID_ENOMEM, "%s: no memory for a frame", v->path);
  snprintf(v->text, sizeof v->text, "%dx%d %s", v->width, v->height, pixel_name[v->pixel]);
  return BRAID_OK;
}

static enum braid_status parse_spec(struct video *v, const char *spec) {
  char name[16];
  int end = 0;
  if (sscanf(spec, "%dx%d:%15[a-z0-9]%n", &v->width, &v->height, name, &end) == 3 && spec[end] == '\0')
    for (int i = 0; i < PIXELS; i++)
      if (strcmp(name, pixel_name[i]) == 0) {
        v->pixel = (enum pixel)i;
        return BRAID_OK;
      }
  return braid_fail(BRAID_EINVAL, "'%s' is not WIDTHxHEIGHT:rgb24|bgr24|gray8|yuv420p|nv12", spec);
}

/* "YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420jpeg": progressive 4:2:0 with 8 bits, or mono. */
static enum braid_status parse_header(struct video *v, char *line) {
  char *save, *word = strtok_r(line, " ", &save);
  v->pixel = YUV420P;
  while ((word = strtok_r(NULL, " ", &save))) {
    if (*word == 'W') v->width = atoi(word + 1);
    if (*word == 'H') v->height = atoi(word + 1);
    if (strcmp(word, "Cmono") == 0) v->pixel = GRAY8;
    bool known = *word != 'C' || v->pixel == GRAY8 || strcmp(word, "C420") == 0 || strcmp(word, "C420jpeg") == 0 ||
                 strcmp(word, "C420mpeg2") == 0 || strcmp(word, "C420paldv") == 0;
    if (!known)
      return braid_fail(BRAID_EFORMAT, "%s: YUV4MPEG2 in '%s'; give ffmpeg -pix_fmt yuv420p", v->path, word + 1);
  }
  v->has_headers = true;
  return BRAID_OK;
}

static enum braid_status read_header(struct video *v, const char *head, size_t n) {
  char line[LINE_MAX_BYTES];
  if (n >= sizeof line) return braid_fail(BRAID_EINVAL, "%s: too long a beginning", v->path);
  if (n) memcpy(line, head, n);
  BRAID_TRY(read_line(v, line, n));
  if (strncmp(line, VIDEO_Y4M_MAGIC, strlen(VIDEO_Y4M_MAGIC)) != 0)
    return braid_fail(BRAID_EFORMAT, "%s: no YUV4MPEG2 stream; for raw frames say --raw WIDTHxHEIGHT:FORMAT", v->path);
  return parse_header(v, line);
}

static enum braid_status open_all(struct video *v, const char *spec, const char *head, size_t n) {
  if (!v->path) return braid_fail(BRAID_ENOMEM, "no memory for a name");
  if (spec) BRAID_TRY(parse_spec(v, spec));
  if (v->fd < 0) v->fd = open(v->path, O_RDONLY | O_CLOEXEC);
  if (v->fd < 0) return braid_fail(BRAID_EIO, "%s: %s", v->path, strerror(errno));
  if (!spec) BRAID_TRY(read_header(v, head, n));
  return check_size(v);
}

enum braid_status video_open(const char *path, const char *spec, const char *head, size_t n, struct video **out) {
  struct video *v = braid_calloc(1, sizeof *v);
  if (!v) return braid_fail(BRAID_ENOMEM, "no memory for a video");
  bool standard = strcmp(path, "-") == 0;
  v->fd = standard ? STDIN_FILENO : -1;
  v->path = braid_strdup(standard ? "standard input" : path);
  enum braid_status status = open_all(v, spec, head, n);
  if (status == BRAID_OK)
    *out = v;
  else
    video_close(&v);
  return status;
}

void video_close(struct video **video) {
  struct video *v = *video;
  if (!v) return;
  if (v->fd > STDIN_FILENO) close(v->fd);
  braid_free(v->path);
  braid_free(v->frame);
  braid_free(v->rgb);
  braid_free(v);
  *video = NULL;
}

/* ------------------------------------------------------------------------------------------------------ colours */

static uint8_t clamp(int v) {
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* ITU-R BT.601, 16..235 and 16..240, in eight binary places. */
static void put_yuv(uint8_t rgb[3], int y, int u, int v) {
  int c = 298 * (y - 16) + 128, d = u - 128, e = v - 128;
  rgb[0] = clamp((c + 409 * e) >> 8);
  rgb[1] = clamp((c - 100 * d - 208 * e) >> 8);
  rgb[2] = clamp((c + 516 * d) >> 8);
}

static void yuv_to_rgb(const struct video *v) {
  size_t w = (size_t)v->width, h = (size_t)v->height, step = v->pixel == NV12 ? 2 : 1;
  const uint8_t *us = v->frame + w * h, *vs = v->pixel == NV12 ? us + 1 : us + w * h / 4;
  for (size_t y = 0; y < h; y++)
    for (size_t x = 0; x < w; x++) {
      size_t at = (y / 2) * (w / 2) * step + x / 2 * step;
      put_yuv(v->rgb + (y * w + x) * 3, v->frame[y * w + x], us[at], vs[at]);
    }
}

static void to_rgb(const struct video *v) {
  size_t pixels = (size_t)v->width * (size_t)v->height;
  switch (v->pixel) {
  case RGB24:
    memcpy(v->rgb, v->frame, pixels * 3);
    break;
  case BGR24:
  case GRAY8:
    for (size_t i = 0; i < pixels * 3; i++)
      v->rgb[i] = v->pixel == GRAY8 ? v->frame[i / 3] : v->frame[i / 3 * 3 + 2 - i % 3];
    break;
  default:
    yuv_to_rgb(v);
  }
}

enum braid_status video_next(struct video *v, struct io_image *out) {
  char line[LINE_MAX_BYTES];
  size_t got;
  if (v->has_headers) {
    BRAID_TRY(read_line(v, line, 0));
    if (strncmp(line, "FRAME", 5) != 0)
      return braid_fail(BRAID_EFORMAT, "%s: frame %d does not begin with FRAME", v->path, v->n_frames);
  }
  BRAID_TRY(read_all(v, v->frame, v->frame_bytes, &got));
  if (got < v->frame_bytes) {
    if (got > 0 && !cli_interrupted())
      braid_log(BRAID_LOG_WARN, "%s: the last frame is cut short (%zu of %zu bytes): left out", v->path, got,
                v->frame_bytes);
    return braid_fail(BRAID_ENOTFOUND, "%s: the end", v->path);
  }
  v->n_frames++;
  to_rgb(v);
  *out = (struct io_image){v->width, v->height, v->rgb};
  return BRAID_OK;
}

const char *video_text(const struct video *v) {
  return v->text;
}

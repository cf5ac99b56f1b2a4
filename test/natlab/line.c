/*
 * A line between two network namespaces with a delay, jitter and loss, for kernels without sch_netem: two TAP devices and what passes
 * between them. One thread; frames stay in order; losses follow from the seed. Lives until its standard input ends, and its devices with it.
 *
 *   line NETNS_A DEVICE_A NETNS_B DEVICE_B DELAY_US JITTER_US LOSS_PER_MILLION SEED
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* 32,768 frames of 1,514 bytes: 490 MB/s at 100 ms. What does not fit is dropped, as a full queue does. */
#define QUEUE_MAX 32768
#define FRAME_MAX 2048
#define AT_ONCE 128

struct frame { int64_t due_us; int bytes; unsigned char data[FRAME_MAX]; };
struct way { int from, to; struct frame *queue; uint64_t head, tail; int64_t last_us; };

static uint64_t state;

static double unit(void) { /* xorshift64* */
  state ^= state >> 12; state ^= state << 25; state ^= state >> 27;
  return (double)((state * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static int64_t now_us(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static void fail(const char *what) { perror(what); exit(1); }

/* A TAP device belongs to the namespace its file was opened in. */
static int tap(const char *netns, const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", netns);
  int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) < 0) fail(netns);
  close(space);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  snprintf(request.ifr_name, IFNAMSIZ, "%s", device);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  return fd;
}

int main(int count, char **words) {
  if (count != 9) { fprintf(stderr, "eight arguments are needed\n"); return 2; }
  int64_t delay_us = atoll(words[5]);
  double jitter_us = atof(words[6]), loss = atof(words[7]) / 1e6;
  state = strtoull(words[8], NULL, 10) * 0x9e3779b97f4a7c15ULL | 1;
  int a = tap(words[1], words[2]), b = tap(words[3], words[4]);
  struct way ways[2] = { { .from = a, .to = b }, { .from = b, .to = a } };
  for (int i = 0; i < 2; i++) {
    ways[i].queue = malloc(sizeof(struct frame) * QUEUE_MAX);
    if (ways[i].queue == NULL) fail("malloc");
  }
  printf("ready\n");
  fflush(stdout);

  struct pollfd wanted[3] = { { a, POLLIN, 0 }, { b, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
  for (;;) {
    int64_t next_us = INT64_MAX, at_us = now_us();
    for (int i = 0; i < 2; i++) {
      struct way *way = &ways[i];
      while (way->head < way->tail) {
        struct frame *frame = &way->queue[way->head % QUEUE_MAX];
        if (frame->due_us > at_us) { if (frame->due_us < next_us) next_us = frame->due_us; break; }
        /* A device that is down, or whose namespace is gone, takes nothing: lost. */
        if (write(way->to, frame->data, frame->bytes) < 0 && errno == EBADF) fail("write");
        way->head++;
      }
    }
    struct timespec wait, *patience = NULL;
    if (next_us != INT64_MAX) {
      int64_t left_us = next_us - now_us();
      if (left_us < 0) left_us = 0;
      wait.tv_sec = left_us / 1000000;
      wait.tv_nsec = left_us % 1000000 * 1000;
      patience = &wait;
    }
    if (ppoll(wanted, 3, patience, NULL) < 0 && errno != EINTR) fail("ppoll");
    if (wanted[2].revents != 0) {
      char byte;
      if (read(STDIN_FILENO, &byte, 1) <= 0) return 0;
    }
    at_us = now_us();
    for (int i = 0; i < 2; i++) {
      struct way *way = &ways[i];
      if (!(wanted[i].revents & POLLIN)) continue;
      for (int taken = 0; taken < AT_ONCE; taken++) {
        struct frame *frame = &way->queue[way->tail % QUEUE_MAX];
        unsigned char spill[FRAME_MAX];
        int full = way->tail - way->head == QUEUE_MAX;
        int bytes = (int)read(way->from, full ? spill : frame->data, FRAME_MAX);
        if (bytes <= 0) break;
        /* ARP and neighbour discovery pass: what is measured is the path, not the first packet on it. */
        int is_ip = !full && bytes > 14 && ((frame->data[12] == 0x08 && frame->data[13] == 0x00) || (frame->data[12] == 0x86 && frame->data[13] == 0xdd && frame->data[20] != 58));
        if (full || (is_ip && loss > 0 && unit() < loss)) continue;
        frame->bytes = bytes;
        frame->due_us = at_us + delay_us + (jitter_us > 0 ? (int64_t)(jitter_us * unit()) : 0);
        if (frame->due_us < way->last_us) frame->due_us = way->last_us;
        way->last_us = frame->due_us;
        way->tail++;
      }
    }
  }
}

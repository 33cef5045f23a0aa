import { afterAll } from 'vitest'

/**
 * Fails a spec file that leaves something open which would keep a host's process from ending. Only kinds that the runner
 * itself does not open and close; and unreferenced ones do not count, for they keep nothing from ending.
 */
const KINDS = {
  ProcessWrap: 'a child process',
  TCPServerWrap: 'a listening server',
  TCPSocketWrap: 'a connection',
  MessagePort: 'a worker thread or a message port',
}
const GRACE_MS = 2000
const POLL_MS = 20

// Taken before any spec can put false ones in their place.
const startTimer = setTimeout
const now = performance.now.bind(performance)
const before = openCounts()

// Registered first, therefore run last: after every hook of the file itself.
afterAll(async () => {
  const deadline = now() + GRACE_MS
  let leaks = leaksSince(before)
  while (leaks.length > 0 && now() < deadline) {
    await new Promise((resolve) => startTimer(resolve, POLL_MS))
    leaks = leaksSince(before)
  }
  if (leaks.length > 0) throw new Error(`This file left open: ${leaks.join(', ')}.`)
})

function openCounts(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

function leaksSince(earlier: Map<string, number>): string[] {
  const open = openCounts()
  return Object.entries(KINDS).flatMap(([kind, what]) => {
    const count = (open.get(kind) ?? 0) - (earlier.get(kind) ?? 0)
    return count > 0 ? [`${what} (${kind}, ${count})`] : []
  })
}

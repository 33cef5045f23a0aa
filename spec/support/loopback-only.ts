import net from 'node:net'

/** Loaded before a program (`node --import`): what would leave this machine ends it. */
const EXIT_CODE = 99
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/

type Connect = net.Socket['connect']
const connect: Connect = net.Socket.prototype.connect

net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
  const host = hostOf(args)
  if (host !== null && !LOOPBACK.test(host)) {
    process.stderr.write(`A connection to ${host} was about to leave this machine.\n`)
    process.exit(EXIT_CODE)
  }
  return Reflect.apply(connect, this, args)
} as Connect

/** Null of a socket in the file system and of this machine by default. */
function hostOf([first, second]: readonly unknown[]): string | null {
  // Node's own callers have gathered the arguments in an array already.
  const options = Array.isArray(first) ? first[0] : first
  if (typeof options === 'object' && options !== null) return (options as { host?: string }).host ?? null
  return typeof second === 'string' ? second : null
}

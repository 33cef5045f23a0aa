import { spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * What `xxhsum -H64` says of the files, by their names below the folder. It gets the names by xargs, as one call of it may not
 * take that many.
 */
export async function xxhsum(root: string, names: readonly string[]): Promise<Map<string, string>> {
  const child = spawn('xargs', ['-0', 'xxhsum', '-H64', '-q', '--'], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const parts: Buffer[] = []
  child.stdout.on('data', (part: Buffer) => parts.push(part))
  child.stdin.end(names.join('\0'))
  const [status] = await ended
  if (status !== 0) throw new Error(`xxhsum ended with ${status}`)
  const lines = Buffer.concat(parts).toString().trimEnd().split('\n')
  const sums = new Map(lines.map((line) => [line.slice(line.indexOf('  ') + 2), line.slice(0, line.indexOf('  '))]))
  if (sums.size !== names.length) throw new Error(`xxhsum told of ${sums.size} files of ${names.length}`)
  return sums
}

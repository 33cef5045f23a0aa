import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Draw } from './draw.ts'

/** What every file outside of the root begins with, and every file inside of it. */
export const CANARY = 'canary: nobody may read this'
export const INSIDE = 'inside'

/** A store's root, and folders of canaries beside it that no key may reach. */
export interface HostileGround {
  readonly base: string
  readonly root: string
}

/** What is planted in the root by somebody who may write there: where it leads, or what it is. */
const LINKS: Readonly<Record<string, (ground: HostileGround) => string>> = {
  out: ({ base }) => join(base, 'canaries'),
  'out-relative': () => '../canaries',
  'a/out-deep': () => '../../canaries/deep',
  up: () => '..',
  top: () => '/',
  here: () => '.',
  beside: ({ base }) => join(base, 'root-beside'),
  secret: ({ base }) => join(base, 'canaries/secret'),
  'a/secret-relative': () => '../../canaries/secret',
  'not-yet': ({ base }) => join(base, 'canaries/made-by-a-key'),
  'folder-not-yet': ({ base }) => join(base, 'made-by-a-key'),
  loop: () => 'loop',
  chain: () => 'out',
  'a/to-device': () => '/dev/zero',
  environment: () => '/proc/self/environ',
  // The two forms of one name are two names on most disks and one on others.
  'caf\u00e9': () => '../canaries',
  'cafe\u0301-file': () => '../canaries/secret',
}

const FILES = ['file', 'a/file', 'a/b/c/file', 'nfc-\u00e9', 'nfd-e\u0301', 'trailing. ', '.hidden']
const FIFOS = ['fifo', 'a/fifo']
const DEVICES: readonly (readonly [name: string, minor: string])[] = [
  ['zero', '5'],
  ['a/null', '3'],
]

/** Makes the canaries. `plant` makes the rest, and again what was removed. */
export function layCanaries({ base, root }: HostileGround): void {
  for (const folder of ['canaries/deep/er', 'canaries/empty', 'root-beside', 'rootless']) {
    mkdirSync(join(base, folder), { recursive: true })
  }
  for (const file of [
    'canaries/secret',
    'canaries/deep/secret',
    'canaries/deep/er/x',
    'root-beside/secret',
    'secret',
  ]) {
    writeFileSync(join(base, file), `${CANARY} (${file})`)
  }
  mkdirSync(root)
}

/** Whoever opens one to read waits until somebody writes, unless it says that it will not wait. */
export function plantFifo(path: string): void {
  const { status } = spawnSync('mkfifo', [path])
  if (status !== 0) throw Object.assign(new Error(`No FIFO can be made at ${path}`), { code: 'EEXIST' })
}

// Only root may make devices.
const isRoot = process.getuid?.() === 0

function plantDevice(path: string, minor: string): void {
  execFileSync('mknod', [path, 'c', '1', minor])
}

/** What may be planted in place of the marker of a store; the second path is of a file outside. */
export const MARKER_PLANTS: Readonly<Record<string, (path: string, secret: string) => void>> = {
  'a FIFO': plantFifo,
  'a link to a file outside': (path, secret) => symlinkSync(secret, path),
  'a link to nothing': (path, secret) => symlinkSync(`${secret}-not-yet`, path),
  'a link to a device': (path) => symlinkSync('/dev/zero', path),
  'a link to itself': (path) => symlinkSync(path, path),
  ...(isRoot && { 'a device': (path: string) => plantDevice(path, '5') }),
  'a folder': (path) => mkdirSync(path),
  // What begins it is a marker, and all of it is more than fits into the memory.
  'a file of 1 TiB': (path) => {
    writeFileSync(path, JSON.stringify({ site: 'tokyo', store: 'x' }))
    truncateSync(path, 2 ** 40)
  },
  'the text of another file': (path) => writeFileSync(path, CANARY),
}

/** Puts into the root what a hostile neighbour would, wherever it is not there (any more). */
export function plant(ground: HostileGround): void {
  const at = (name: string): string | null => {
    const path = join(ground.root, name)
    if (lstatSync(path, { throwIfNoEntry: false })) return null
    mkdirSync(dirname(path), { recursive: true })
    return path
  }
  for (const [name, target] of Object.entries(LINKS)) {
    const path = at(name)
    if (path) symlinkSync(target(ground), path)
  }
  for (const name of FILES) {
    const path = at(name)
    if (path) writeFileSync(path, INSIDE)
  }
  for (const name of FIFOS) {
    const path = at(name)
    if (path) plantFifo(path)
  }
  if (!isRoot) return
  for (const [name, minor] of DEVICES) {
    const path = at(name)
    if (path) plantDevice(path, minor)
  }
}

// Each reads `..` to something that decodes, folds, trims or normalises once too often.
const UPS = [
  '..',
  '.. ',
  '..\t',
  '...',
  '..;',
  '..\\',
  '..\\..',
  '.\u200c.',
  '.\u200d.',
  '\ufeff..',
  '\uff0e\uff0e',
  '\u2024\u2024',
  '\u2025',
  '%2e%2e',
  '%2E.',
  '%252e%252e',
  '%c0%ae%c0%ae',
  '\u00c0\u00ae\u00c0\u00ae',
  '..%00',
  '..\0',
  '..%2f..',
  '..%5c..',
  './..',
  '..//..',
]
const SLASHES = ['/', '/', '/', '//', '\\', '/./', '%2f', '\u2215', '\uff0f', '\u2044', '/\0/', '\\/']
const TARGETS = [
  'canaries/secret',
  'canaries/deep/er/x',
  'root-beside/secret',
  'secret',
  'root',
  'canaries',
  'canaries/new',
]
const SEGMENTS = [
  'a',
  'b',
  'file',
  'x y',
  '\u00e9',
  'e\u0301',
  '\u65e5\u672c',
  '\u{1f469}\u200d\u{1f680}',
  '-rf',
  '~',
  '$HOME',
  '*',
  '`id`',
]
const TAILS = [
  '.',
  ' ',
  '..',
  '. .',
  '\t',
  '\n',
  '\r\n',
  '\0',
  '\u0000.png',
  ':',
  '::$DATA',
  '\u202e',
  '%00',
  '/',
  '/.',
  '/..',
  '//',
  '\\',
]
const RESERVED = [
  '.geo-store.json',
  '.GEO-STORE.JSON',
  '.Geo-Tmp-1',
  '.geo-part-0',
  '.geo-',
  '.g\u200ceo-store.json',
  '\u200d.geo-store.json',
  '.geo\ufeff-store.json',
  '.\u202ageo-tmp-1',
  'CON',
  'NUL',
  'aux.txt',
  'COM1',
  'LPT1.png',
  'con:',
  '.',
  '..',
  'lost+found',
]
const DEVICE_PATHS = [
  '/dev/zero',
  '/dev/null',
  '/proc/self/environ',
  '/proc/self/root',
  '/etc/passwd',
  'file:///etc/passwd',
]

type Kind = (draw: Draw, ground: HostileGround) => string

const KINDS: Readonly<Record<string, Kind>> = {
  traversal: (draw) => {
    const before = draw.below(2) ? `${draw.of(SEGMENTS)}${draw.of(SLASHES)}` : ''
    const slash = draw.of(SLASHES)
    return `${before}${draw.some(8, () => draw.of(UPS), slash)}${slash}${draw.of(TARGETS)}`
  },
  'traversal through what is there': (draw) =>
    `${draw.of(['a', 'a/b', 'a/b/c', 'file', 'out', 'here'])}/${draw.some(6, () => draw.of(UPS))}/${draw.of(TARGETS)}`,
  absolute: (draw, { base, root }) => {
    const target = draw.of([...DEVICE_PATHS, `${base}/${draw.of(TARGETS)}`, `${root}/file`, `${root}/../secret`])
    return draw.of([
      target,
      `/${target}`,
      `//${target}`,
      `\\${target}`,
      `C:${target}`,
      `file://${target}`,
      target.slice(1),
    ])
  },
  NUL: (draw) => {
    const key = `${draw.some(3, () => draw.of(SEGMENTS))}${draw.of(TAILS)}`
    const at = draw.below(key.length + 1)
    return `${key.slice(0, at)}\0${key.slice(at)}`
  },
  'very long': (draw) => {
    const unit = draw.of(['a', 'a/', '\u00e9', '../', '\u{1f469}', 'e\u0301/', './'])
    return unit.repeat(1 + draw.below(draw.of([300, 1100, 5000]))) + draw.of(['', 'x', '/secret'])
  },
  'form of Unicode': (draw) => {
    const key = draw.some(4, () =>
      draw.of([
        'caf\u00e9',
        'cafe\u0301',
        'cafe\u0301-file',
        'nfc-\u00e9',
        'nfd-e\u0301',
        '\u212b',
        '\ufb01',
        '\u1e9e',
      ]),
    )
    return `${key.normalize(draw.of(['NFC', 'NFD', 'NFKC', 'NFKD']))}${draw.of(['', '/secret', '/new'])}`
  },
  'half a character': (draw) =>
    `${draw.of(SEGMENTS)}${draw.of(['\ud800', '\udc00', '\udfff\ud800'])}${draw.of(SEGMENTS)}`,
  'planted link': (draw) => {
    const link = draw.of(Object.keys(LINKS))
    return draw.of([
      link,
      `${link}/secret`,
      `${link}/deep/er/x`,
      `${link}/new`,
      `${link}/new/er/x`,
      `${link}/${draw.of(UPS)}/secret`,
      `${link}/canaries/secret`,
    ])
  },
  device: (draw) => draw.of([...FIFOS, ...DEVICES.map(([name]) => name), 'a/to-device', 'fifo/x', 'zero/x']),
  'reserved name': (draw) =>
    draw.of([(name: string) => name, (name: string) => `a/${name}`, (name: string) => `${name}/file`])(
      draw.of(RESERVED),
    ),
  'empty segment': (draw) =>
    draw.of(['', '/', '//', 'a//b', '/a', 'a/', '///a', 'a/b//', './', 'a/./b', '.', './file']) +
    draw.of(['', '', 'file', 'secret']),
  'trailing dots and spaces': (draw) =>
    `${draw.some(3, () => draw.of([...SEGMENTS, 'out', 'secret']))}${draw.some(3, () => draw.of(TAILS), '')}`,
  backslash: (draw) =>
    `${draw.some(5, () => draw.of(['..', 'a', 'out', '.', 'C:', '']), '\\')}\\${draw.of(TARGETS).replaceAll('/', '\\')}`,
  'no harm meant': (draw) => draw.of([...FILES, 'a/new', 'new/er/file', `${draw.some(3, () => draw.of(SEGMENTS))}`]),
}

export interface HostileKey {
  readonly kind: string
  readonly key: string
}

/** So many keys, of every kind in turns, the same for the same seed. */
export function hostileKeys(ground: HostileGround, { seed, count }: { seed: number; count: number }): HostileKey[] {
  const draw = new Draw(seed)
  const kinds = Object.entries(KINDS)
  return Array.from({ length: count }, (_, position) => {
    const [kind, make] = kinds[position % kinds.length] as [string, Kind]
    return { kind, key: make(draw, ground) }
  })
}

import { access, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'

/** How a host writes its modules. */
export const MODULE_KINDS = Object.freeze(['typescript', 'esm', 'commonjs'] as const)
export type ModuleKind = (typeof MODULE_KINDS)[number]

export interface ModuleStyle {
  readonly kind: ModuleKind
  /** What the names of modules end with: `.ts`, `.js`, `.mjs`, `.cjs`. */
  readonly extension: string
  /** What paths in imports end with. */
  readonly importExtension: string
  /** Whether a `.js` of this host is an ES module. */
  readonly jsIsEsm: boolean
}

/** What of package.json is looked at. */
export interface PackageJson {
  readonly type?: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** The style of the host in a folder: what `kind` says, else what its files say. */
export async function moduleStyleOf(
  folder: string,
  { type }: PackageJson,
  kind: ModuleKind | undefined,
): Promise<ModuleStyle> {
  const jsIsEsm = type === 'module'
  const tsconfig = join(folder, 'tsconfig.json')
  const isTypeScript = (await exists(tsconfig)) || (await exists(join(folder, 'geo.config.ts')))
  const found = kind ?? (isTypeScript ? 'typescript' : jsIsEsm ? 'esm' : 'commonjs')
  if (found === 'typescript') {
    const importExtension = (await importsTsExtensions(tsconfig)) ? '.ts' : '.js'
    return Object.freeze({ kind: found, extension: '.ts', importExtension, jsIsEsm })
  }
  const extension = (found === 'esm') === jsIsEsm ? '.js' : found === 'esm' ? '.mjs' : '.cjs'
  return Object.freeze({ kind: found, extension, importExtension: extension, jsIsEsm })
}

/** Whether relative imports name the `.ts` files themselves, as Node needs it. So it is where no tsconfig says anything. */
async function importsTsExtensions(tsconfig: string): Promise<boolean> {
  if (!(await exists(tsconfig))) return true
  const texts = await withBases(tsconfig, new Set())
  return texts.some((text) => /"(allowImportingTsExtensions|rewriteRelativeImportExtensions)"\s*:\s*true/.test(text))
}

/** The texts of a tsconfig and of those that it extends. Comments are gone; what cannot be read says nothing. */
async function withBases(file: string, seen: Set<string>): Promise<string[]> {
  if (seen.has(file)) return []
  seen.add(file)
  const text = await readFile(file, 'utf8').then(withoutComments, () => '')
  const list = /"extends"\s*:\s*(\[[^\]]*\]|"[^"]*")/.exec(text)?.[1] ?? ''
  const bases = [...list.matchAll(/"([^"]+)"/g)].map(([, base]) => baseFile(file, base ?? ''))
  const found = await Promise.all(bases.map((base) => (base === null ? [] : withBases(base, seen))))
  return [text, ...found.flat()]
}

function baseFile(file: string, base: string): string | null {
  const name = base.endsWith('.json') ? base : `${base}.json`
  if (base.startsWith('.') || base.startsWith('/')) return resolve(dirname(file), name)
  const require = createRequire(file)
  for (const candidate of [base, name, `${base}/tsconfig.json`]) {
    try {
      return require.resolve(candidate)
    } catch (reason) {
      // A base that is not installed is no reason to write nothing.
      if (!(reason instanceof Error)) throw reason
    }
  }
  return null
}

function withoutComments(text: string): string {
  return text.replaceAll(
    /("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_, quoted: string | undefined) => quoted ?? '',
  )
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

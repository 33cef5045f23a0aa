import { writeFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { entries } from './entries.ts'

/**
 * Writes what `require` gets of each built entry: a module that requires the same modules of JavaScript, so that a class is the same
 * class whoever asks, and declarations that say so to TypeScript, which lets CommonJS take no more than types from such modules. The
 * argument is the folder of the build. Default: dist.
 */
const [out = 'dist'] = process.argv.slice(2)

for (const { path } of entries()) {
  const built = resolve(path.replace(/^dist/, out))
  const module: Record<string, unknown> = await import(pathToFileURL(`${built}.js`).href)
  const name = basename(path)
  await writeFile(`${built}.cjs`, `'use strict'\nmodule.exports = require('./${name}.js')\n`)
  await writeFile(`${built}.d.cts`, declarations(`./${name}.js`, module))
}

function declarations(path: string, module: Record<string, unknown>): string {
  const asImport = "with { 'resolution-mode': 'import' }"
  const of = (name: string) => `import('${path}', { ${asImport.replace(' {', ': {')} }).${name}`
  const values = Object.entries(module).map(([name, value]) => {
    const line = `export declare const ${name}: typeof ${of(name)}\n`
    // A class is a type too, which the value hides.
    return isClass(value) ? `${line}export type ${name} = ${of(name)}\n` : line
  })
  return [`export type * from '${path}' ${asImport}\n`, ...values].join('')
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && Function.prototype.toString.call(value).startsWith('class')
}

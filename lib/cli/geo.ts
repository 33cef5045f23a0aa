#!/usr/bin/env node
import { keepCompiled } from './compile-cache.ts'

keepCompiled(process.env)
// Only what is loaded after that is kept.
const [{ runGeo }, { processSurroundings }] = await Promise.all([import('./program.ts'), import('./surroundings.ts')])

// What a command waits with has no timer that keeps the process running.
const alive = setInterval(() => undefined, 60_000)
process.exitCode = await runGeo(process.argv.slice(2), processSurroundings())
clearInterval(alive)

#!/usr/bin/env node
import { runGeo } from './program.ts'
import { processSurroundings } from './surroundings.ts'

// What a command waits with has no timer that keeps the process running.
const alive = setInterval(() => undefined, 60_000)
process.exitCode = await runGeo(process.argv.slice(2), processSurroundings())
clearInterval(alive)

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { MischiefPlan } from './mischief.ts'
import type { Place } from './network.ts'

const PROGRAM = fileURLToPath(new URL('./front-process.ts', import.meta.url))

/** What the front has seen since it was last told to forget. */
export interface FrontFigures {
  /** Transfers whose request has come and whose answer has not gone out whole. */
  open: number
  /** The most that were open at any one time. */
  mostOpen: number
  requests: number
  transfers: number
  /** Towards the secondaries, heads and repetitions included. */
  bytesSent: number
  /** Requests for which no process of the primary was there. */
  unanswered: number
  /** How often each trick was played. */
  played: Record<string, number>
}

export type FrontOrder =
  | { readonly type: 'backends'; readonly urls: readonly string[] }
  | { readonly type: 'silence'; readonly on: boolean }
  | { readonly type: 'slow'; readonly delayMs: number; readonly loss: number }
  | { readonly type: 'mischief'; readonly plan: MischiefPlan | null }
  | { readonly type: 'strand' | 'read' | 'reset' }

/** What stands before the processes of the primary, as a balancer would: the secondaries know its address alone. */
export class Front {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
  }

  static async open({ launcher, address }: Place): Promise<Front> {
    const [program = process.execPath, ...args] = [...launcher, process.execPath, PROGRAM, address]
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true })
    const [port] = await once(child, 'message')
    return new Front(child, `http://${address}:${port}`)
  }

  order(order: FrontOrder): void {
    this.#child.send(order)
  }

  async figures(): Promise<FrontFigures> {
    const answer = once(this.#child, 'message')
    this.order({ type: 'read' })
    const [figures] = await answer
    return figures as FrontFigures
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ask, endNow } from './child.ts'
import type { MischiefPlan } from './mischief.ts'
import type { Place, Slowness } from './network.ts'

const PROGRAM = fileURLToPath(new URL('./front-process.ts', import.meta.url))

/** What the front has seen since it was last told to forget. */
export interface FrontFigures {
  /** Transfers whose request has come and whose answer has not gone out whole. */
  open: number
  /** The most that were open at any one time. */
  mostOpen: number
  /** That were accepted, also while it was silent. */
  connections: number
  requests: number
  transfers: number
  /** Of those for one blob each: how many there were, how many of them went on where another had ended, and bytes of their answers. */
  ones: { asked: number; goneOn: number; bytesSent: number }
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
  | { readonly type: 'slow'; readonly how: Slowness | null }
  | { readonly type: 'mischief'; readonly plan: MischiefPlan | null }
  /** `begin`: forgets all that it has seen. `reset`: all but the most that were open, which no fault may hide from its check. */
  | { readonly type: 'strand' | 'read' | 'reset' | 'begin' }

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
    if (!this.#child.connected) throw new Error('The front has ended')
    this.#child.send(order)
  }

  async figures(): Promise<FrontFigures> {
    return (await ask(this.#child, { type: 'read' } satisfies FrontOrder)) as FrontFigures
  }

  close(): Promise<void> {
    return endNow(this.#child)
  }
}

// Reads published documents beside the event loop: five megabytes of YAML take seconds, hostile ones half a minute,
// and checks of tokens must not wait for either. One thread, one document at a time, with an end in time and memory.
import { Worker } from 'node:worker_threads'
import { Problem } from '../../http/problem.ts'
import { Unreadable } from './finding.ts'
import type { Syntax } from './parse.ts'
import type { ReadResult } from './read.ts'
import type { ReadAnswer, ReadRequest } from './thread.ts'

export type Reader = {
  /** @throws Unreadable; Problem unavailable when too many wait */
  read(service: string, bytes: Uint8Array, syntax: Syntax): Promise<ReadResult>
  stop(): Promise<void>
}

const longestMs = 30_000
const longestStartMs = 60_000
const idleMs = 30_000
const mostWaiting = 8
const memory = { maxOldGenerationSizeMb: 512, stackSizeMb: 4 }
const file = new URL(`./thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

const tooMuch = () =>
  new Unreadable(
    'The document takes too long or too much memory to read. Publish it as JSON, or in smaller parts.',
  )

const tooBusy = () => new Problem('unavailable', 'No document can be read at the moment. Try again.')

export function createReader(): Reader {
  let thread: Promise<Worker> | null = null
  let idle: NodeJS.Timeout | null = null
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  async function end(): Promise<void> {
    const ending = thread
    thread = null
    await (await ending?.catch(() => null))?.terminate()
  }

  async function ask(request: ReadRequest): Promise<ReadAnswer> {
    if (idle) clearTimeout(idle)
    const asked = thread ?? startThread()
    thread = asked
    try {
      return await answerOf(await asked, longestMs, tooMuch, (one) => one.postMessage(request))
    } catch (error) {
      if (thread === asked) await end()
      throw error
    } finally {
      // Kept for a while, as services publish in bursts.
      idle = setTimeout(end, idleMs).unref()
    }
  }

  return {
    async read(service, bytes, syntax) {
      if (waiting >= mostWaiting)
        throw new Problem('unavailable', 'Too many documents are being read. Try again.')
      waiting += 1
      const answering = last.then(() => ask({ service, bytes, syntax }))
      last = answering
        .catch(() => {})
        .finally(() => {
          waiting -= 1
        })
      return resultOf(await answering)
    },
    async stop() {
      if (idle) clearTimeout(idle)
      await end()
    },
  }
}

/** Resolves when all that it needs is loaded, which on a busy machine takes longer than most documents. */
async function startThread(): Promise<Worker> {
  const thread = new Worker(file, { resourceLimits: memory })
  // It does not keep the process.
  thread.unref()
  try {
    await answerOf(thread, longestStartMs, tooBusy, () => {})
    return thread
  } catch (error) {
    await thread.terminate()
    throw error
  }
}

/** What the thread says next. */
function answerOf(
  thread: Worker,
  mostMs: number,
  tooLate: () => Error,
  ask: (thread: Worker) => void,
): Promise<ReadAnswer> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => settle(() => reject(tooLate())), mostMs)
    const onMessage = (answer: ReadAnswer) => settle(() => resolve(answer))
    const onError = (error: Error & { code?: string }) =>
      settle(() => reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooMuch() : error))
    const onExit = () => settle(() => reject(new Error('The reading thread ended')))
    function settle(how: () => void): void {
      clearTimeout(late)
      thread.off('message', onMessage).off('error', onError).off('exit', onExit)
      how()
    }
    thread.on('message', onMessage).on('error', onError).on('exit', onExit)
    ask(thread)
  })
}

function resultOf(answer: ReadAnswer): ReadResult {
  if ('result' in answer) return answer.result
  if ('unreadable' in answer) throw new Unreadable(answer.unreadable, answer.findings)
  throw new Error(`A document could not be read: ${'error' in answer ? answer.error : 'there was no answer'}`)
}

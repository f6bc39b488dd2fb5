// `latchkey catalog jobs`: what can be got done, with which scopes.
import { Command } from 'commander'
import { table } from '../people.ts'
import { remote } from '../remote.ts'
import { readFrame } from './view.ts'

export const jobs = () =>
  remote<{ readonly service?: string }>(
    new Command('jobs')
      .description('List what can be got done, with the scopes it takes')
      .option('--service <id>'),
    async ({ client, output }, { service }) => {
      const frame = await readFrame(client, { service })
      const found = frame.jobs
        .filter((one) => service === undefined || one.service === service)
        .map(({ workflow = null, endpoints = [], ...job }) => ({ ...job, workflow, endpoints }))
      output.show({
        json: { jobs: found },
        quiet: found.map(({ job }) => job),
        people: () =>
          found.length > 0
            ? table(
                ['JOB', 'SERVICE', 'WORKFLOW', 'SCOPES'],
                found.map(({ job, service, workflow, scopes }) => [job, service, workflow, scopes]),
              )
            : 'No jobs.',
      })
    },
    { signIn: 'optional' },
  )

package gitea_test

import (
	"fmt"

	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/gitea"
)

func ExampleRunner() {
	runner := gitea.Runner{Name: "gitea-runner", Namespace: "ci", Instance: "https://git.example.com"}
	objects, err := runner.Objects()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("---\n%s", text)
	}
	// Output:
	// ---
	// apiVersion: v1
	// automountServiceAccountToken: false
	// kind: ServiceAccount
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: gitea-runner
	//   name: gitea-runner
	//   namespace: ci
	// ---
	// apiVersion: v1
	// data:
	//   config.yaml: |
	//     log:
	//       level: info
	//     runner:
	//       file: /data/.runner
	//       capacity: 1
	//       shutdown_timeout: 2h55m0s
	//       labels:
	//         - ubuntu-latest:docker://docker.gitea.com/runner-images:ubuntu-latest
	//     container:
	//       docker_host: unix:///var/run/docker.sock
	//   daemon.json: |
	//     {
	//       "builder": {
	//         "gc": {
	//           "defaultMaxUsedSpace": "10737418240",
	//           "defaultMinFreeSpace": "21474836480",
	//           "enabled": true
	//         }
	//       },
	//       "default-network-opts": {
	//         "bridge": {
	//           "com.docker.network.driver.mtu": "1450"
	//         }
	//       },
	//       "mtu": 1450
	//     }
	//   prune.sh: |
	//     # The shell is process 1, which ignores signals that it does not trap.
	//     trap 'exit 0' TERM
	//     pruned=
	//     while :; do
	//       free=$(df -Pk /var/lib/docker | awk 'NR == 2 { print $4 }')
	//       today=$(date +%F)
	//       if [ -n "$free" ] && [ "$free" -lt 20971520 ]; then
	//         echo "$free KiB free, less than 20971520: removing all that is unused"
	//         docker system prune --all --force
	//         docker volume prune --all --force
	//       elif [ "$today" != "$pruned" ]; then
	//         docker system prune --all --force --filter until=168h && pruned=$today
	//         docker volume prune --force # anonymous ones
	//       fi
	//       sleep 600 &
	//       wait $!
	//     done
	// kind: ConfigMap
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: gitea-runner
	//   name: gitea-runner
	//   namespace: ci
	// ---
	// apiVersion: v1
	// kind: PersistentVolumeClaim
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: gitea-runner
	//   name: gitea-runner-data
	//   namespace: ci
	// spec:
	//   accessModes:
	//   - ReadWriteOnce
	//   resources:
	//     requests:
	//       storage: 1Gi
	// status: {}
	// ---
	// apiVersion: v1
	// kind: PersistentVolumeClaim
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: gitea-runner
	//   name: gitea-runner-docker
	//   namespace: ci
	// spec:
	//   accessModes:
	//   - ReadWriteOnce
	//   resources:
	//     requests:
	//       storage: 20Gi
	// status: {}
	// ---
	// apiVersion: apps/v1
	// kind: Deployment
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: gitea-runner
	//   name: gitea-runner
	//   namespace: ci
	// spec:
	//   replicas: 1
	//   selector:
	//     matchLabels:
	//       app.kubernetes.io/name: gitea-runner
	//   strategy:
	//     type: Recreate
	//   template:
	//     metadata:
	//       annotations:
	//         checksum/config: 5a3276383d904ff3de7f5a2ca5a06b56
	//       labels:
	//         app.kubernetes.io/managed-by: fleet
	//         app.kubernetes.io/name: gitea-runner
	//     spec:
	//       automountServiceAccountToken: false
	//       containers:
	//       - env:
	//         - name: CONFIG_FILE
	//           value: /etc/runner/config.yaml
	//         - name: GITEA_INSTANCE_URL
	//           value: https://git.example.com
	//         - name: GITEA_RUNNER_NAME
	//           value: gitea-runner
	//         - name: GITEA_RUNNER_REGISTRATION_TOKEN
	//           valueFrom:
	//             secretKeyRef:
	//               key: token
	//               name: gitea-runner-registration
	//         image: gitea/runner:1.0.6
	//         name: runner
	//         resources:
	//           limits:
	//             memory: 2Gi
	//           requests:
	//             memory: 128Mi
	//         volumeMounts:
	//         - mountPath: /var/run
	//           name: run
	//         - mountPath: /data
	//           name: data
	//         - mountPath: /etc/runner
	//           name: config
	//           readOnly: true
	//       enableServiceLinks: false
	//       initContainers:
	//       - args:
	//         - dockerd
	//         - --host=unix:///var/run/docker.sock
	//         - --config-file=/etc/runner/daemon.json
	//         image: docker:28-dind
	//         name: docker
	//         resources:
	//           limits:
	//             memory: 8Gi
	//           requests:
	//             memory: 128Mi
	//         restartPolicy: Always
	//         securityContext:
	//           privileged: true
	//         startupProbe:
	//           exec:
	//             command:
	//             - docker
	//             - --host=unix:///var/run/docker.sock
	//             - info
	//           failureThreshold: 60
	//           periodSeconds: 2
	//           timeoutSeconds: 5
	//         volumeMounts:
	//         - mountPath: /var/run
	//           name: run
	//         - mountPath: /var/lib/docker
	//           name: docker
	//         - mountPath: /etc/runner
	//           name: config
	//           readOnly: true
	//       - command:
	//         - sh
	//         - /etc/runner/prune.sh
	//         env:
	//         - name: DOCKER_HOST
	//           value: unix:///var/run/docker.sock
	//         image: docker:28-dind
	//         name: prune
	//         resources:
	//           limits:
	//             memory: 256Mi
	//           requests:
	//             memory: 128Mi
	//         restartPolicy: Always
	//         volumeMounts:
	//         - mountPath: /var/run
	//           name: run
	//         - mountPath: /var/lib/docker
	//           name: docker
	//           readOnly: true
	//         - mountPath: /etc/runner
	//           name: config
	//           readOnly: true
	//       serviceAccountName: gitea-runner
	//       terminationGracePeriodSeconds: 10800
	//       volumes:
	//       - emptyDir:
	//           sizeLimit: 1Gi
	//         name: run
	//       - configMap:
	//           name: gitea-runner
	//         name: config
	//       - name: data
	//         persistentVolumeClaim:
	//           claimName: gitea-runner-data
	//       - name: docker
	//         persistentVolumeClaim:
	//           claimName: gitea-runner-docker
	// status: {}
}

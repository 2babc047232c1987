// Package data is an example of another fleet layer: the stores of the tier,
// and their copies in object storage. A layer that uses a store takes its
// address, its port and its password from the values here.
package data

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/readme"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// Namespace of the layer.
const Namespace = "dezky-data"

// Clients are the namespaces whose pods may reach the stores.
var Clients = []string{"dezky-apps", "dezky-auth"}

// The images' users, ports and paths are those of their Dockerfiles
// (redis/docker-library-redis, debian; docker-library/postgres, 18;
// docker-library/mongo, 8.0). What else they write, nobody has confirmed.
var assumed = components.Assumed{Files: true, Tmp: true}

// Redis keeps the sessions of the apps. A full one refuses new sessions: it
// must not forget old ones.
func Redis() components.StatefulSet {
	return store(components.StatefulSet{
		Name:      "redis",
		Image:     "docker.io/library/redis:8.2",
		Port:      6379,
		RunAsUser: 999,
		Args: []string{
			"--appendonly", "yes", "--maxmemory", "192mb", "--maxmemory-policy", "noeviction",
			"--requirepass", "$(REDIS_PASSWORD)",
		},
		SecretEnv: map[string]secret.Ref{
			"REDIS_PASSWORD": RedisSecret().Key("REDIS_PASSWORD"),
			"REDISCLI_AUTH":  RedisSecret().Key("REDIS_PASSWORD"), // of redis-cli
		},
		Volumes:   disk("/data", "1Gi"),
		Resources: memory("256Mi"),
		Probes:    components.Probes{Command: []string{"redis-cli", "-e", "ping"}},
	})
}

// PostgreSQL has the database of Authentik.
func PostgreSQL() components.StatefulSet {
	return store(components.StatefulSet{
		Name:      "postgresql",
		Image:     "docker.io/library/postgres:18",
		Port:      5432,
		RunAsUser: 999,
		SecretEnv: PostgreSQLSecret().Env(),
		Volumes:   append(disk("/var/lib/postgresql", "10Gi"), components.Volume{Name: "run", Path: "/var/run/postgresql"}),
		Resources: memory("1Gi"),
		Probes:    components.Probes{Command: []string{"pg_isready", "-U", "postgres"}},
	}, backupOf("postgresql"))
}

// MongoDB has the data of platform-api.
func MongoDB() components.StatefulSet {
	return store(components.StatefulSet{
		Name:      "mongo",
		Image:     "docker.io/library/mongo:8.0",
		Port:      27017,
		RunAsUser: 999,
		Env:       map[string]string{"MONGO_INITDB_ROOT_USERNAME": "root"},
		SecretEnv: MongoDBSecret().Env(),
		Volumes:   append(disk("/data/db", "10Gi"), components.Volume{Name: "config", Path: "/data/configdb"}),
		Resources: memory("2Gi"),
	}, backupOf("mongo"))
}

// store fills in what all stores have: the namespaces and the pods that may
// reach it.
func store(s components.StatefulSet, from ...components.Peer) components.StatefulSet {
	s.Namespace = Namespace
	for _, namespace := range Clients {
		from = append(from, components.Peer{Namespace: namespace})
	}
	s.Network = &components.Network{From: from}
	s.Assumed = assumed
	return s
}

// RedisSecret, PostgreSQLSecret and MongoDBSecret are the contracts of the
// passwords.
func RedisSecret() secret.Contract { return password("redis", "REDIS_PASSWORD") }

func PostgreSQLSecret() secret.Contract { return password("postgresql", "POSTGRES_PASSWORD") }

func MongoDBSecret() secret.Contract { return password("mongo", "MONGO_INITDB_ROOT_PASSWORD") }

func password(of, key string) secret.Contract {
	return secret.Contract{Name: of + "-auth", Namespace: Namespace, Keys: []secret.Key{{
		Name: key, Purpose: "Password of " + of, Format: secret.Random(48), Rotation: secret.RotationNeedsPeer,
	}}}
}

// Backups copy the databases to object storage every night.
func Backups() []object.Component {
	return []object.Component{
		backup(PostgreSQL(), components.Workload{
			Command:   []string{"pg_dumpall", "-h", PostgreSQL().Host(), "-U", "postgres", "-f", "/backup/all.sql"},
			SecretEnv: map[string]secret.Ref{"PGPASSWORD": PostgreSQLSecret().Key("POSTGRES_PASSWORD")},
		}),
		backup(MongoDB(), components.Workload{
			Command:   []string{"mongodump", "--host", MongoDB().Address(), "-u", "root", "-p", "$(PASSWORD)", "--gzip", "--archive=/backup/all.gz"},
			SecretEnv: map[string]secret.Ref{"PASSWORD": MongoDBSecret().Key("MONGO_INITDB_ROOT_PASSWORD")},
		}),
	}
}

// backup is the dump of a store and then, when it is whole, its copy.
func backup(db components.StatefulSet, dump components.Workload) components.CronJob {
	dump.Name = "dump"
	dump.Image = db.Image
	dump.Volumes = []components.Volume{{Name: "backup", Path: "/backup"}}
	return components.CronJob{
		Name:      db.Name + "-backup",
		Namespace: Namespace,
		Schedule:  "30 2 * * *",
		RunAsUser: 999, // of the dump; rclone runs as any (rclone documentation, "Install")
		Init:      []components.Workload{dump},
		Image:     Rclone,
		Args:      []string{"copy", "/backup", "storage:dezky-backup/" + db.Name},
		Env:       StorageEnv(),
		SecretEnv: StorageSecret().Env(),
		Volumes:   []components.Volume{{Name: "backup", Path: "/backup", Size: resource.MustParse("10Gi")}},
		Network:   &components.Network{To: []components.Peer{db.Peer(), Storage()}},
		Assumed:   components.Assumed{Files: true, Tmp: true, Memory: true},
	}
}

// backupOf is the pods of the backup of a store.
func backupOf(store string) components.Peer {
	return components.Peer{Pods: map[string]string{"app.kubernetes.io/name": store + "-backup"}}
}

// Rclone is the image that copies to the object storage.
const Rclone = "docker.io/rclone/rclone:1.71"

// Storage is the object storage for a NetworkPolicy, which knows no names:
// every public address, over HTTPS.
func Storage() components.Peer {
	return components.Peer{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}, Ports: []int32{443}}
}

// StorageEnv are rclone's variables for the object storage, beside those of
// StorageSecret.
func StorageEnv() map[string]string {
	return map[string]string{"RCLONE_CONFIG_STORAGE_TYPE": "s3", "RCLONE_CONFIG_STORAGE_PROVIDER": "Other"}
}

// StorageSecret is the contract of the credentials of the object storage. The
// keys are rclone's variables (rclone documentation, "Amazon S3").
func StorageSecret() secret.Contract {
	const source = "the object storage's credentials"
	return secret.Contract{Name: "object-storage", Namespace: Namespace, Keys: []secret.Key{
		{Name: "RCLONE_CONFIG_STORAGE_ENDPOINT", Purpose: "Address of the object storage", Source: source},
		{Name: "RCLONE_CONFIG_STORAGE_ACCESS_KEY_ID", Purpose: "Object storage, access key", Source: source},
		{Name: "RCLONE_CONFIG_STORAGE_SECRET_ACCESS_KEY", Purpose: "Object storage, secret key", Source: source},
	}}
}

func disk(path, size string) []components.Volume {
	return []components.Volume{{Name: "data", Path: path, Claim: &components.Claim{Size: resource.MustParse(size)}}}
}

func memory(limit string) corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
	return corev1.ResourceRequirements{Requests: list, Limits: list}
}

// Tree is the layer.
func Tree(string, render.Images) (render.Tree, error) {
	tree := render.Tree{
		ID:   "dezky-data",
		Name: "the dezky data tier",
		Layers: []render.Layer{{Name: "data", Namespace: Namespace, Files: []render.File{
			{Name: "00-namespace", Components: []object.Component{
				components.Namespace{Name: Namespace},
				components.Network{Name: "default-deny", Namespace: Namespace},
			}},
			{Name: "redis", Components: []object.Component{Redis()}},
			{Name: "postgresql", Components: []object.Component{PostgreSQL()}},
			{Name: "backups", Components: Backups()},
			{Name: "mongo", Components: []object.Component{MongoDB()}},
		}}},
		Secrets: []secret.Contract{RedisSecret(), PostgreSQLSecret(), MongoDBSecret(), StorageSecret()},
	}
	tree.Texts = []render.Text{
		{Name: "README.md", Content: readme.Doc{Tree: tree, Template: "secrets.example.yaml"}.Markdown},
		{Name: "secrets.example.yaml", Content: secrets.Set{Secrets: tree.Secrets}.Template},
	}
	return tree, nil
}

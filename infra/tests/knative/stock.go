package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventingdefaults "knative.dev/eventing/pkg/apis/config"
	"knative.dev/eventing/pkg/apis/feature"
	channeldefaults "knative.dev/eventing/pkg/apis/messaging/config"
	pingdefaults "knative.dev/eventing/pkg/apis/sources/config"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/logging"
	revisionconfig "knative.dev/serving/pkg/reconciler/revision/config"
	"sigs.k8s.io/yaml"
)

// Stock is what Knative goes by where nobody changed its ConfigMaps.
type Stock struct {
	serving  *revisionconfig.Store
	eventing func(context.Context) context.Context
}

// newStock reads the ConfigMaps that come with the modules in go.mod.
func newStock(ctx context.Context) (*Stock, error) {
	logger := logging.FromContext(ctx)
	serving, err := configMaps("knative.dev/serving", "config/core/configmaps", "knative.dev/networking", "config")
	if err != nil {
		return nil, err
	}
	eventing, err := configMaps("knative.dev/eventing", "config/core/configmaps")
	if err != nil {
		return nil, err
	}
	stock := &Stock{serving: revisionconfig.NewStore(logger)}
	stock.serving.WatchConfigs(serving)
	broker, channel := eventingdefaults.NewStore(logger), channeldefaults.NewStore(logger)
	ping, features := pingdefaults.NewStore(logger), feature.NewStore(logger)
	for _, store := range []interface{ WatchConfigs(configmap.Watcher) }{broker, channel, ping, features} {
		store.WatchConfigs(eventing)
	}
	stock.eventing = func(ctx context.Context) context.Context {
		return features.ToContext(channel.ToContext(ping.ToContext(broker.ToContext(ctx))))
	}
	return stock, nil
}

// configMaps has those in folders of modules, given by turns.
func configMaps(modulesAndFolders ...string) (configmap.Watcher, error) {
	var found []*corev1.ConfigMap
	for i := 0; i < len(modulesAndFolders); i += 2 {
		module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", modulesAndFolders[i]).Output()
		if err != nil {
			return nil, err
		}
		paths, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(module)), modulesAndFolders[i+1], "*.yaml"))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			var made corev1.ConfigMap
			if err := yaml.Unmarshal(text, &made); err != nil {
				return nil, err
			}
			if made.Kind == "ConfigMap" {
				found = append(found, &made)
			}
		}
	}
	return configmap.NewStaticWatcher(found...), nil
}
